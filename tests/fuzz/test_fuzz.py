"""A slice of the fuzz that is the same in every run; ``make fuzz`` sends tens of thousands more."""

from __future__ import annotations

from tests.fuzz.runner import Findings, read_archives, send_requests
from tests.fuzz.values import FUNCTIONS, PLATFORM

SEED = 1


def test_random_archives_are_read_or_refused():
    findings = Findings(seed=SEED)
    read_archives(findings, range(300))
    assert findings.problems == []
    assert min(findings.answers["archive read"], findings.answers["archive refused"]) > 20  # it does try both


def test_random_requests_are_answered_without_a_crash(start_gateway):
    gateway = start_gateway(LOG_LEVEL="warning")
    assert gateway.register(PLATFORM, {"functions/all.sql": FUNCTIONS}).status == 200
    findings = Findings(seed=SEED)
    send_requests(gateway, findings, range(400))
    assert findings.problems == []
    assert {"call 200", "call 400", "call 404"} <= set(findings.answers)
    assert "Traceback" not in gateway.log
