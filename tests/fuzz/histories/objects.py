"""The kinds of objects in ``objects.sql``, and an object of a history."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.histories.declarations import Declarations

Declare = Callable[[Declarations], bool]  #: changes declarations; False if that is not possible
_NAMES = re.compile(r"\{(\w)\}")
_FOLDERS = ("functions", "types")


@dataclass(kw_only=True)
class Kind:
    """A kind of object; texts are statements, separated by ``;;``."""

    name: str
    variants: list[str] = field(default_factory=list)
    drop: str = ""
    rename: str = ""
    alters: list[str] = field(default_factory=list)
    steps: dict[str, str] = field(default_factory=dict)


def _read(text: str) -> list[Kind]:
    kinds: list[Kind] = []
    texts: dict[str, str] = {}
    for line in text.replace("\n    ", " ").splitlines():
        key, _, value = line.partition(": ")
        value = _NAMES.sub(lambda match: texts.get(match[1], match[0]), value)
        if key.startswith("let "):
            texts[key[-1]] = value
        elif key == "kind":
            kinds.append(Kind(name=value))
        elif key in {"create", "alter"}:
            (kinds[-1].variants if key == "create" else kinds[-1].alters).append(value)
        elif key in {"drop", "rename"}:
            setattr(kinds[-1], key, value)
        elif not key.startswith("--"):
            kinds[-1].steps[key] = value
    return kinds


KINDS = _read(Path(__file__).with_suffix(".sql").read_text())


@dataclass
class Object:
    """An object of a history, and which of its definitions it has."""

    kind: Kind
    names: dict[str, str]
    label: str
    variant: int

    def text(self, template: str, **more: str) -> str:
        return _NAMES.sub(lambda match: {**self.names, **more}[match[1]], template)

    def sql(self, variant: int) -> str:
        return ";;".join(text for part in self._parts(variant).values() for text in part)

    def step(self, old: int, new: int) -> str:
        """Return a migration from one definition to another."""
        step = self.kind.steps.get(f"{old}>{new}")
        return self.text(step) if step else f"{self.text(self.kind.drop)};;{self.sql(new)}"

    def declare(self, new: int | None, old: int | None) -> Declare:
        """Return the change from one definition to another, of which None is none."""

        def change(files: Declarations) -> bool:
            before = self._parts(old) if old is not None else {}
            after = self._parts(new) if new is not None else {}
            for label in {**before, **after}:
                first, *rest = before.get(label, [""])
                if not first:
                    files.files.setdefault(label, []).extend(after[label])
                elif not files.replace(first, after.get(label, [])):
                    return False
                if not all(files.replace(text, []) for text in rest):
                    return False
            return True

        return change

    def _parts(self, variant: int) -> dict[str, list[str]]:
        """Return the statements of a definition by their files."""
        found: dict[str, list[str]] = {}
        for part in self.text(self.kind.variants[variant]).split(";;"):
            folder, _, text = part.partition(":")
            if folder in _FOLDERS:
                found.setdefault(f"{folder}/{self.names['n']}.pssql", []).append(text)
            else:
                found.setdefault(self.label, []).append(part)
        return found
