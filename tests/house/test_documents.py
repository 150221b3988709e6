"""The commands in the documents have the documented results."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the documents show curl")


def type_in(text: str, folder: Path, gateway) -> list[dict]:
    """Run the document's shell blocks, and return the answers of the gateway in their order."""
    script = "\n".join(re.findall(r"```(?:ba)?sh\n(.*?)```", text, re.DOTALL))
    script = re.sub("http://(?:127.0.0.1|localhost):9000", gateway.url, script)
    # curl prints no line break after an answer; this function does.
    script = 'curl() { command curl -s "$@"; echo; }\n' + script
    result = subprocess.run(["sh", "-e"], input=script, cwd=folder, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_quick_start(gateway, tmp_path):
    text = (ROOT / "docs/quick-start.md").read_text(encoding="utf-8")
    first, call, listing, second, refused = type_in(text.partition("## The first version")[2], tmp_path, gateway)
    assert first["status"] == "ready"
    assert first["created"] is True
    assert call["rows"] == [{"add_note": 2}]
    assert listing["rows"] == [{"id": 1, "title": "Welcome"}, {"id": 2, "title": "Buy milk"}]
    assert second["databases_updated"] == ["notes_ada"]
    assert [change["to_type"] for change in second["schema_validation"]["safe_changes"]] == ["character varying(200)"]
    assert refused["error"] == "migration_failed"
    assert [change["rows_at_risk"] for change in refused["schema_validation"]["dataloss_changes"]] == [2]


def test_the_example_platform(gateway, tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    registered, prices = type_in((ROOT / "examples/clinic/README.md").read_text("utf-8"), tmp_path, gateway)
    assert registered["tables_created"] == 5
    assert prices["rows"][0]["title"] == "Consultation"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (again,) = type_in(readme.partition("A first call of your own")[2].partition("## Run it")[0], tmp_path, gateway)
    assert again["rows"] == prices["rows"]


def test_stored_schemas_and_the_commands(gateway, postgres_url, tmp_path):
    (tmp_path / "src/postgresql/tables").mkdir(parents=True)
    (tmp_path / "src/postgresql/tables/notes.sql").write_text("CREATE TABLE notes (title text);")
    answers = type_in((ROOT / "docs/stored-schemas.md").read_text(encoding="utf-8"), tmp_path, gateway)
    assert [answer["status"] for answer in answers] == ["registered", "registered", "created", "completed"]

    (block,) = re.findall(r"```bash\n(.*?)```", (ROOT / "docs/commands.md").read_text(encoding="utf-8"), re.DOTALL)
    commands = [line.partition("#")[0].split()[1:] for line in block.splitlines() if line.startswith("stonescriptdb")]
    known = {"DB_GATEWAY_URL": gateway.url, "DATABASE_URL": postgres_url, "DATA_DIR": str(gateway.data_dir)}
    results = {
        " ".join(command): subprocess.run(
            [sys.executable, "-m", "gateway.cli", *command],
            cwd=tmp_path,
            env=os.environ | known,
            capture_output=True,
            text=True,
            check=False,
        )
        for command in commands
    }
    assert len(results) == 11
    failed = {command: result.stderr for command, result in results.items() if result.returncode}
    assert list(failed) == ["undo myapp tenant_db"]
    assert "no copy is kept" in failed["undo myapp tenant_db"]
