"""Plays a history to three databases and compares them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from migrations_engine import DeployReport, EngineError, MigrationFailed
from tests.fuzz.histories.declarations import Declarations
from tests.fuzz.histories.history import Change, History
from tests.fuzz.histories.rows import insert_rows
from tests.fuzz.histories.server import Files, Server, may_be_forced, text_of
from tests.fuzz.histories.structures import differences, is_of, named, structure
from tests.fuzz.histories.styles import written
from tests.fuzz.histories.tables import random_change
from tests.fuzz.histories.ways import ways_that_differ

_WHOLE = re.compile(r"[-+] CREATE (UNLOGGED TABLE|TABLE|VIEW|MATERIALIZED VIEW|SCHEMA|SEQUENCE) \S+ .*\n")
_SEEDS = re.compile(r"VALUES \(\d+, 'seed \d+'\)")


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
            (result.refusals if is_named else result.faults).append(f"NEW REFUSED {text_of(error)}")
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
        self.result.faults += ways_that_differ(self._server, "old", files)
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
                if not may_be_forced(error):
                    raise
                self.result.log.append(f"forced in {name}: {text_of(error)}")
                self._has_forced = forced = True
                report = self._server.deploy(name, files, force=True)
            self._words += [*report.warnings, *report.differences]
        except EngineError as error:
            text = f"REFUSED in {name}{' with force' * forced}: {text_of(error)}"
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
            self.result.faults.append(f"AGAIN REFUSED in {name}: {text_of(error)}")
            return None
        if report.schema_validation.safe_changes:
            self.result.faults.append(f"AGAIN CHANGED {name}: {report.schema_validation.safe_changes}")
        return report

    def _compare(self, reports: dict[str, DeployReport | None]) -> None:
        server, faults = self._server, self.result.faults
        new = structure(server.conninfo("new"))
        for name, report in reports.items():
            if report is None:
                continue
            words = "\n".join(report.differences).replace('"', "")
            found = list(differences(structure(server.conninfo(name)), new))
            whole = [subject for subject, text in found if _WHOLE.match(text) and named(subject, words)]
            whole += re.findall(r"^(\S+) \(alter (?:inheritance|partitioning)\)", words, re.MULTILINE)
            faults += [
                f"SILENT in {name}: {text}"
                for subject, text in found
                if not named(subject, words) and not any(is_of(table, text) for table in whole)
            ]
            subjects = {subject for subject, _ in found}
            for sentence in report.differences:
                if not any(named(subject, sentence.replace('"', "")) for subject in subjects):
                    faults.append(f"FALSE WORD in {name}: {sentence}")
        old, skipping = server.rows("old"), server.rows("skipping")
        may_have_more = self._is_used or self._has_lost_seeds()
        for table in sorted({*old, *skipping}):
            one, two = old.get(table, Counter()), skipping.get(table, Counter())
            if sum((two - one).values()) > 0 if may_have_more else one != two:
                sides = [sorted((a - b).elements())[:1] for a, b in ((one, two), (two, one))]
                if not named(table.rpartition(".")[2].strip('"'), "\n".join(self._words)):
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
