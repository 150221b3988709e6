"""The rules of the house that no other tool checks."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

from gateway import errors
from gateway.app import create_app
from gateway.routes import ROUTES, route_of_rule
from gateway.settings import Settings
from migrations_engine.model import DEFAULT_SCHEMA

ROOT = Path(__file__).parents[2]


def test_imports_go_down_only():
    lint = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_there_are_no_import_cycles():
    graph = grimp.build_graph("gateway", "migrations_engine", exclude_type_checking_imports=True)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


def test_no_module_is_shorter_than_25_lines():
    files = [path for package in ("gateway", "migrations_engine") for path in (ROOT / package).rglob("*.py")]
    counted = [path for path in files if path.name != "__init__.py"]
    assert [str(path) for path in counted if len(path.read_text("utf-8").splitlines()) < 25] == []


def test_no_two_public_classes_have_one_name():
    files = [path for package in ("gateway", "migrations_engine") for path in (ROOT / package).rglob("*.py")]
    names = Counter(
        name for path in files for name in re.findall(r"^class ([A-Z]\w*)", path.read_text("utf-8"), re.MULTILINE)
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_env_example_names_every_setting():
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^#?([A-Z][A-Z_]*)=", text, re.MULTILINE)) == sorted(Settings.variable_names())


def test_env_example_shows_the_defaults():
    assert Settings.from_environment({}, ROOT / ".env.example") == Settings.from_environment({}, None)


def test_readme_lists_every_setting():
    rows = re.findall(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(re.findall(r"[A-Z_]+", " ".join(rows))) == sorted(Settings.variable_names())


def test_every_metric_is_in_the_documents():
    source = (ROOT / "gateway/api/metrics.py").read_text(encoding="utf-8")
    documents = (ROOT / "docs/deployment.md").read_text(encoding="utf-8")
    named = set(re.findall(r'"(db_gateway_\w+)"', source))
    assert len(named) > 10
    assert [name for name in named if not re.search(rf"`{name}(_total)?[`{{]", documents)] == []


def error_classes(base: type[errors.GatewayError] = errors.GatewayError) -> Iterator[type[errors.GatewayError]]:
    for found in base.__subclasses__():
        yield found
        yield from error_classes(found)


@pytest.mark.parametrize("error_class", list(error_classes()), ids=lambda found: found.__name__)
def test_every_error_has_a_status_of_its_own(error_class):
    from gateway.api.errors import ERROR_TABLE

    # Their status follows from what they carry: SQLSTATE, the engine's code; an answer too large is the query's fault.
    if error_class in (errors.QueryFailed, errors.SchemaDeployError, errors.ResponseTooLarge):
        return
    assert [row.code for row in ERROR_TABLE if error_class in row.raised_as] == [error_class.code]


def test_every_error_is_raised_or_has_kinds_that_are():
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "gateway").rglob("*.py"))
    unused = [found.__name__ for found in error_classes() if len(re.findall(rf"\b{found.__name__}\(", code)) < 2]
    assert [name for name in unused if not re.search(rf"raise {name}\b|\({name}\):", code)] == []


def test_the_default_of_callable_schemas_is_the_schema_of_unqualified_names():
    assert Settings.from_environment({}, None).callable_schemas == (DEFAULT_SCHEMA,)


def test_every_route_has_a_row_in_the_table_of_routes(tmp_path):
    app = create_app(Settings.from_environment({"DATA_DIR": str(tmp_path)}, None))
    ways = [(method, rule.rule) for rule in app.url_map.iter_rules() for method in rule.methods]
    rows = {way: route_of_rule(*way) for way in ways}
    assert [way for way, row in rows.items() if row is None] == []
    assert set(rows.values()) == set(ROUTES)


def documents() -> list[Path]:
    return [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]


def anchors(document: Path) -> set[str]:
    """Return the anchors of the headings of *document*, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_are_not_dead(document):
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)]+)\)", document.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_existing_files(document):
    folders = "gateway|migrations_engine|tests|benchmarks|scripts|systemd|monitoring|examples"
    named = re.findall(rf"`((?:{folders})/[\w./-]+)`", document.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def entry(path: Path) -> str:
    return f"{path.name}/" if path.is_dir() else path.name


def test_the_architecture_page_names_every_module_and_no_other():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_0-9]+(?:\.py|/))`", text))
    packages = [ROOT / package for package in ("gateway", "migrations_engine")]
    assert named <= {entry(path) for package in packages for path in package.rglob("*")}
    top = {entry(path) for package in packages for path in package.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert top - {"__init__.py", "__pycache__/"} <= named


DECISIONS = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_every_decision_has_the_same_form(decision):
    text = decision.read_text(encoding="utf-8")
    assert re.match(rf"# {decision.name[:4]}: \S.+\n\n", text)
    assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == ["Situation", "Decision", "Why", "Cost"]


def test_the_index_of_decisions_lists_every_page_by_its_heading():
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    headings = [path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for path in DECISIONS]
    rows = re.findall(r"^\| (\d{4}) \| \[(.+)\]\((.+)\) \|$", index, re.MULTILINE)
    assert sorted((f"{number}: {title}", name) for number, title, name in rows) == [
        (heading, path.name) for heading, path in zip(headings, DECISIONS, strict=True)
    ]


def test_references_to_decisions_name_existing_ones():
    files = [
        *documents(),
        *(path for package in ("gateway", "migrations_engine") for path in (ROOT / package).rglob("*")),
    ]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files if path.suffix in (".py", ".sql", ".md"))
    named = {int(number) for number in re.findall(r"\b[Dd]ecisions? (\d+)\b", text)}
    assert named - {int(path.name[:4]) for path in DECISIONS} == set()


@pytest.mark.parametrize("script", sorted((ROOT / "scripts").glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_executable_and_parse(script):
    assert script.stat().st_mode & 0o111
    subprocess.run(["sh", "-n", script], check=True)
