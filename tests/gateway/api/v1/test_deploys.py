"""What a deploy leaves in memory when its request has been answered."""

from __future__ import annotations

import gc
import os
from types import FrameType

import pytest

from gateway.app import create_app
from gateway.settings import Settings
from tests.support.running_gateway import make_archive, multipart

PLATFORM = f"collected{os.getpid()}"


@pytest.mark.parametrize(("migration", "status"), [("SELECT 1", 200), ("SELECT 1 / 0", 409)])
def test_no_file_of_an_archive_waits_for_the_garbage_collector(
    tmp_path, postgres_url, superuser, migration, status
) -> None:
    environment = {"DATABASE_URL": postgres_url, "DATA_DIR": str(tmp_path)}
    app = create_app(Settings.from_environment(environment, None))
    services = app.extensions["gateway"]
    services.open()

    def send(path: str, files: dict[str, str], **fields: str) -> int:
        body, content_type = multipart({"platform": PLATFORM, **fields, "schema": make_archive(files)})
        return app.test_client().post(path, data=body, content_type=content_type).status_code

    marked = "-- " + "x" * 100_000
    try:
        assert send("/register", {"tables/t.sql": "CREATE TABLE t ()"}) == 200
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        assert (
            send(
                "/migrate",
                {"tables/t.sql": "CREATE TABLE t ()", "migrations/1.sql": f"{migration}; {marked}"},
                dry_run="true",
            )
            == status
        )
        gc.collect()
        assert [one.f_code.co_qualname for one in gc.garbage if isinstance(one, FrameType)] == []
        kept = [part for one in gc.garbage for part in gc.get_referents(one) if isinstance(part, bytes | str)]
        assert max(map(len, kept), default=0) < len(marked)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        services.close()
        superuser.execute(f'DROP DATABASE IF EXISTS "{PLATFORM}_main" WITH (FORCE)')
