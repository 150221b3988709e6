"""The wheel is complete: it contains everything that the packages need at run time."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_has_every_file_of_the_packages_and_the_command(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("gateway", "migrations_engine"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (made,) = tmp_path.glob("*.whl")
    assert re.fullmatch(r"stonescriptdb_gateway-[\d.]+-py3-none-any\.whl", made.name)
    with zipfile.ZipFile(made) as wheel:
        names = set(wheel.namelist())
        (commands,) = (wheel.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    files = {str(path.relative_to(source)) for name in ("gateway", "migrations_engine")
             for path in (source / name).rglob("*") if path.is_file()}  # fmt: skip
    assert {Path(name).suffix for name in files} >= {".py", ".sql", ".html", ".css"}
    assert files <= names
    assert "stonescriptdb-gateway = gateway.cli:main" in commands
