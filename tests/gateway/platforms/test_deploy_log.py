"""The log of deploys: its order after the clock has gone back, its limit, and the remains of killed processes."""

from __future__ import annotations

import os
import time

from gateway.platforms import DeployLog, LoggedDeploy


def log_deploy(log: DeployLog, deploy_id: str) -> None:
    deploy = LoggedDeploy(
        id=deploy_id,
        platform="p",
        schema_name="s",
        request_id="r",
        dry_run=False,
        total=1,
        started_at="2026-01-01T00:00:00Z",
    )
    log.add(deploy, {"p_s_a": {"status": "completed"}})


def test_after_the_clock_has_gone_back_a_deploy_is_still_the_newest(tmp_path) -> None:
    log = DeployLog(tmp_path)
    first = log.new_id("r")
    log_deploy(log, "29990101T000000999999-future")
    then = log.new_id("r")
    assert (first < then, then) == (True, "29990101T000001000000-r")
    log_deploy(log, then)
    assert [one.id for one in log.deploys()] == [then, "29990101T000000999999-future"]


def test_old_files_are_removed_also_without_a_record(tmp_path) -> None:
    log = DeployLog(tmp_path)
    folder = tmp_path / ".deploys"
    folder.mkdir()
    for number in range(100):
        for suffix in ("lock", "reports"):  # the disk was full when the record was to be written
            (folder / f"20260101T{number:012}-r.{suffix}").touch()
    (folder / "notes-of-an-operator").touch()
    left, current = folder / ".incoming-left", folder / ".incoming-current"
    left.touch()
    current.touch()
    os.utime(left, (time.time() - 7200, time.time() - 7200))
    log_deploy(log, log.new_id("r"))
    names = {path.name.partition(".")[0] for path in folder.glob("[!.]*-r.*")}
    assert (len(names), f"20260101T{0:012}-r" in names) == (100, False)
    assert (left.exists(), current.exists(), len(log.deploys())) == (False, True, 1)
    assert (folder / "notes-of-an-operator").exists()
    [report] = log.reports(log.deploys()[0].id)
    assert report["database"] == "p_s_a"


def test_a_running_deploy_is_not_removed(tmp_path) -> None:
    log = DeployLog(tmp_path)
    oldest = LoggedDeploy(
        id="20000101T000000000000-r",
        platform="p",
        schema_name=None,
        request_id="r",
        dry_run=False,
        total=2,
        started_at="",
    )
    with log.running(oldest):
        for _ in range(101):
            log_deploy(log, log.new_id("r"))
        assert log.deploys()[-1].status == "running"
