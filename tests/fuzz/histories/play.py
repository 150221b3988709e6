"""Plays a history to three databases and compares them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from migrations_engine import DeployOptions, DeployReport, DesiredSchemas, EngineError, MigrationFailed, deploy_schema
from tests.fuzz.histories.declarations import Declarations
from tests.fuzz.histories.history import Change, History
from tests.fuzz.histories.rows import insert_rows, rows_of
from tests.fuzz.histories.styles import written
from tests.fuzz.histories.tables import random_change
from tests.migrations_engine.conftest import schema_of
from tests.support.structure import structure_of

Files = dict[str, str]
_OPTIONS = re.compile(r"WITH \(([^()]*)\)")
_WHOLE = re.compile(r"[-+] CREATE (UNLOGGED TABLE|TABLE|VIEW|MATERIALIZED VIEW|SCHEMA|SEQUENCE) \S+ .*\n")
_SEEDS = re.compile(r"VALUES \(\d+, 'seed \d+'\)")
_NAMES = tuple(
    re.compile(pattern)
    for pattern in (
        r"ADD CONSTRAINT (\S+)",
        r"ALTER COLUMN (\S+)",
        r"ATTACH PARTITION (\S+)",
        r"^COMMENT ON COLUMN (\S+)",
        r"^COMMENT ON (?:CONSTRAINT|TRIGGER|POLICY|RULE) (\S+)",
        r"^CREATE (?:UNIQUE )?INDEX (\S+)",
        r"^CREATE (?:CONSTRAINT )?(?:TRIGGER|POLICY|RULE) (\S+)",
        r"(?:DISABLE|ENABLE|ALWAYS|REPLICA) (?:TRIGGER|RULE) (\S+)",
        r"CLUSTER ON (\S+)",
        r"^(?:GRANT|REVOKE) .*? ON (?:[A-Z]+ )*(\S+)",
        r"^(?:CREATE|ALTER|COMMENT ON) (?:[A-Z]+ )+(\S+)",
    )
)


@dataclass(kw_only=True)
class Result:
    """What came of a history."""

    seed: str
    faults: list[str] = field(default_factory=list)  #: each begins with its class
    refusals: list[str] = field(default_factory=list)
    releases: list[Files] = field(default_factory=list)
    refused: list[Files] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)  #: inserted after the first release
    log: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def write(self, folder: Path) -> None:
        """Write the releases as folders, with the rows and the log."""
        numbered = [(f"release{number}", files) for number, files in enumerate(self.releases, 1)]
        for name, files in [*numbered, *((f"refused{number}", files) for number, files in enumerate(self.refused, 1))]:
            for label, text in files.items():
                path = folder / name / label
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        (folder / "rows.sql").write_text(";\n".join([*self.rows, ""]))
        (folder / "log.txt").write_text("\n".join([*self.log, "", *self.refusals, "", *self.faults, ""]))


class Server:
    """Databases on one server."""

    def __init__(self, url: str, superuser_url: str) -> None:
        self._url, self._superuser_url = url, superuser_url
        self._admin = psycopg.connect(superuser_url, autocommit=True)
        self._owner = psycopg.connect(url).info.user
        self.desired_schemas = DesiredSchemas()

    def create(self, name: str, template: str = "template0") -> None:
        self.drop(name)
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}")
        self._admin.execute(create.format(*map(sql.Identifier, (name, template, self._owner))))

    def drop(self, name: str) -> None:
        self._admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def conninfo(self, name: str) -> str:
        return make_conninfo(self._url, dbname=name)

    def rows(self, name: str) -> dict[str, Counter[str]]:
        return rows_of(make_conninfo(self._superuser_url, dbname=name))

    def deploy(self, name: str, files: Files, *, force: bool = False, purpose: Any = "migrate") -> DeployReport:
        options = DeployOptions(purpose=purpose, force=force, add_seeds=True, desired_schemas=self.desired_schemas)
        with psycopg.connect(self.conninfo(name)) as connection:
            return deploy_schema(connection, schema_of(files), options)


class Player:
    """Draws and plays one history."""

    def __init__(self, server: Server, base: Declarations, seed: str) -> None:
        self._server = server
        self._history = History(Random(seed), base.copy())
        self.result = Result(seed=seed)
        self._words: list[str] = []  #: of all deploys
        self._has_forced = False
        self._is_used = self._history.random.random() < 0.3  #: rows are inserted between the releases, too

    def play(self) -> Result:
        result, history = self.result, self._history
        try:
            self._first_release()
        except EngineError as error:
            result.refusals.append(f"first release: {error}")
            return result
        for number in range(2, history.random.randint(3, 6) + 1):
            self._release(number)
        last = result.releases[-1]
        reports = {"old": self._again("old", last)}
        if not self._deploy("skipping", last):
            return result
        reports["skipping"] = self._again("skipping", last)
        self._server.create("new")
        try:
            self._server.deploy("new", last, purpose="register")
        except EngineError as error:
            is_named = self._has_forced or any("a new database refuses it" in text for text in self._words)
            (result.refusals if is_named else result.faults).append(f"NEW REFUSED {_text(error)}")
            return result
        self._compare(reports)
        return result

    def _first_release(self) -> None:
        """Deploy the schema with some objects more, and insert rows."""
        history, server = self._history, self._server
        server.create("scratch")
        server.deploy("scratch", history.files.texts(), purpose="register")
        with psycopg.connect(server.conninfo("scratch")) as history.connection:
            for _ in range(history.random.randint(3, 9)):
                change = history.add_object()
                if change and change.declare and _fits(history.connection, change.sql):
                    change.declare(history.files)
                    change.then()
                    self._note(1, change, "declaration")
        self.result.releases.append(history.files.texts())
        server.create("old")
        server.deploy("old", self.result.releases[0], purpose="register")
        self.result.rows = insert_rows(server.conninfo("old"), 0)
        server.create("skipping", template="old")

    def _release(self, number: int) -> None:
        history, before = self._history, self._history.files.copy()
        waiting, history.waiting = history.waiting, []
        for declare in waiting:
            tried = history.files.copy()
            if declare(tried):
                history.files = tried
        planned, history.planned, history.migration = history.planned, [], None
        self._server.create("scratch", template="old")
        with psycopg.connect(self._server.conninfo("scratch"), autocommit=True) as history.connection:
            for change in planned:
                self._make(number, change)
            for _ in range(history.random.randint(2, 7)):
                change = random_change(history)
                if change is not None:
                    self._make(number, change)
        files = history.files.texts()
        if files == before.texts():
            return
        runs_outside = any("no-transaction" in files[label] for label in files.keys() - before.texts().keys())
        if runs_outside:
            self._server.create("before", template="old")
        if self._deploy("old", files):
            self.result.releases.append(files)
            if self._is_used:
                insert_rows(self._server.conninfo("old"), number)
        else:
            if runs_outside:
                self._server.create("old", template="before")
            history.files, history.objects, history.waiting, history.planned = before, [], [], []

    def _make(self, number: int, change: Change) -> None:
        """Put a change into the files, if PostgreSQL accepts it in plain SQL."""
        history = self._history
        place = history.random.choice(change.places)
        files = history.files.copy()
        if place in {"both", "declaration", "disagree"} and (change.declare is None or not change.declare(files)):
            place, files = "migration", history.files.copy()
        migration = change.other if place == "disagree" and change.other else change.sql
        if place != "declaration":
            if not migration or not (migration := self._accepted(migration)):
                return
            self._write(files, migration.replace(";;", ";\n") + ";\n", change)
        if place == "lag" and change.declare is not None:
            history.waiting.append(change.declare)
        history.files = files
        history.planned += change.later
        change.then()
        self._note(number, change, place)

    def _accepted(self, migration: str) -> str:
        """Return *migration* in a style that PostgreSQL accepts; nothing if it accepts none."""
        history = self._history
        styled = written(history.random, migration)
        return next((text for text in dict.fromkeys((styled, migration)) if _fits(history.connection, text)), "")

    def _write(self, files: Declarations, text: str, change: Change) -> None:
        """Write a migration, alone or after others of the release."""
        history = self._history
        if change.outside:
            files.migrate("-- gateway: no-transaction\n" + text)
            history.migration = None
        elif history.migration is not None and history.random.random() < 0.3:
            files.migrate(text, history.migration)
        else:
            is_wrapped = history.random.random() < 0.1
            label = files.migrate(f"BEGIN;\n{text}COMMIT;\n" if is_wrapped else text)
            history.migration = None if is_wrapped else label

    def _note(self, number: int, change: Change, place: str) -> None:
        self.result.kinds[f"{change.kind}"] += 1
        self.result.log.append(
            f"release {number}, {place}: {change.kind}: {change.sql}"
            + (f" | {change.other}" if place == "disagree" else "")
        )

    def _deploy(self, name: str, files: Files) -> bool:
        """Deploy, with force if the answer asks for it. Return whether it was accepted."""
        forced = False
        try:
            try:
                report = self._server.deploy(name, files)
            except MigrationFailed as error:
                validation = error.validation
                if validation is None or not (validation.dataloss_changes or validation.incompatible_changes):
                    raise
                self.result.log.append(f"forced in {name}: {_text(error)}")
                self._has_forced = forced = True
                report = self._server.deploy(name, files, force=True)
            self._words += [*report.warnings, *report.differences]
        except EngineError as error:
            text = f"REFUSED in {name}{' with force' * forced}: {_text(error)}"
            self.result.log.append(text)
            is_fault = not forced and self._loads(files)
            (self.result.faults if is_fault else self.result.refusals).append(text)
            if is_fault:
                self.result.refused.append(files)
            return False
        return True

    def _loads(self, files: Files) -> bool:
        """Return whether an empty database accepts the declarations without the new migrations."""
        self._server.create("scratch")
        kept = {label: text for label, text in files.items() if not re.match("migrations/9", label)}
        try:
            self._server.deploy("scratch", kept, purpose="register")
        except EngineError:
            return False
        return True

    def _again(self, name: str, files: Files) -> DeployReport | None:
        """Deploy once more, which must change nothing."""
        try:
            report = self._server.deploy(name, files | {"seeders/none.pssql": ""})
        except EngineError as error:
            self.result.faults.append(f"AGAIN REFUSED in {name}: {_text(error)}")
            return None
        if report.schema_validation.safe_changes:
            self.result.faults.append(f"AGAIN CHANGED {name}: {report.schema_validation.safe_changes}")
        return report

    def _compare(self, reports: dict[str, DeployReport | None]) -> None:
        server, faults = self._server, self.result.faults
        new = _structure(server.conninfo("new"))
        for name, report in reports.items():
            if report is None:
                continue
            words = "\n".join(report.differences).replace('"', "")
            found = list(_differences(_structure(server.conninfo(name)), new))
            whole = [subject for subject, text in found if _WHOLE.match(text) and _named(subject, words)]
            whole += re.findall(r"^(\S+) \(alter (?:inheritance|partitioning)\)", words, re.MULTILINE)
            faults += [
                f"SILENT in {name}: {text}"
                for subject, text in found
                if not _named(subject, words) and not any(_is_of(table, text) for table in whole)
            ]
            subjects = {subject for subject, _ in found}
            for sentence in report.differences:
                if not any(_named(subject, sentence.replace('"', "")) for subject in subjects):
                    faults.append(f"FALSE WORD in {name}: {sentence}")
        old, skipping = server.rows("old"), server.rows("skipping")
        may_have_more = self._is_used or self._has_lost_seeds()
        for table in sorted({*old, *skipping}):
            one, two = old.get(table, Counter()), skipping.get(table, Counter())
            if sum((two - one).values()) > 0 if may_have_more else one != two:
                sides = [sorted((a - b).elements())[:1] for a, b in ((one, two), (two, one))]
                if not _named(table.rpartition(".")[2].strip('"'), "\n".join(self._words)):
                    faults.append(f"ROWS of {table}: old {sides[0]}, skipping {sides[1]}")

    def _has_lost_seeds(self) -> bool:
        """Return whether a release between has had seeded rows that the last one has not."""
        seeds = [{*_SEEDS.findall("".join(files.values()))} for files in self.result.releases]
        return not set().union(*seeds) <= seeds[-1]


def _fits(connection: psycopg.Connection[Any] | None, text: str) -> bool:
    """Return whether PostgreSQL accepts a migration after those of the release so far."""
    assert connection is not None
    try:
        with connection.transaction():
            for statement in text.replace(" CONCURRENTLY", "").split(";;"):
                connection.execute(statement.encode())
    except psycopg.Error:
        return False
    return True


def _text(error: EngineError) -> str:
    cause = f" [{error.server.message}]" if error.server and error.server.message not in str(error) else ""
    validation = getattr(error, "validation", None)
    changes = (*validation.dataloss_changes, *validation.incompatible_changes) if validation else ()
    return f"{error}{cause}" + "".join(f"\n    {c.change_type} {c.subject}: {c.reason}" for c in changes)


def _structure(conninfo: str) -> list[str]:
    """Return a dump without the names of NOT NULL constraints and the order of options."""
    found = [re.sub(r"CONSTRAINT \S+_not_null\d* NOT NULL", "NOT NULL", text) for text in structure_of(conninfo)]
    return [_OPTIONS.sub(lambda match: f"WITH ({', '.join(sorted(match[1].split(', ')))})", text) for text in found]


def _differences(one: list[str], other: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the differing statements of two dumps, each with the name of its subject; of tables the differing lines."""
    here, there = Counter(one), Counter(other)
    changed = [*(here - there).elements()], [*(there - here).elements()]
    tables = [
        {text.split("\n")[0]: text.split("\n") for text in side if re.match(r"CREATE (UNLOGGED )?TABLE", text)}
        for side in changed
    ]
    for sign, side, own, others in (("-", changed[0], *tables), ("+", changed[1], *tables[::-1])):
        for text in side:
            head, *lines = text.split("\n")
            if head in own and head in others:
                for line in sorted(set(lines) - set(others[head])):
                    plain = re.sub(r"^\s*(CONSTRAINT )?", "", line).split(" ")[0].strip('"')
                    name = _subject(line) if line.startswith("ALTER") else plain
                    yield name, f"{sign} {head} {line.strip()}"
            else:
                yield _subject(text), f"{sign} {text}"


def _subject(text: str) -> str:
    if re.match(r"CREATE (UNLOGGED )?TABLE", text):
        text = text.partition("\n")[0]
    for pattern in _NAMES:
        if (found := pattern.search(text)) is not None:
            return re.split(r"[(;]", found[1])[0].replace('"', "").split(".")[-1]
    return text


def _is_of(table: str, text: str) -> bool:
    """Return whether a statement is about a table, or about a sequence or index of it."""
    return re.search(rf"(?<!\w){re.escape(table)}(_\w+_(seq|idx|key))?(?!\w)", text) is not None


def _named(subject: str, words: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(subject)}(?!\w)", words) is not None
