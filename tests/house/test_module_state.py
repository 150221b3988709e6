"""No module has state of its own: what changes is in objects, which ``services.py`` wires.

A constant is made once and not changed. Results that ``functools`` remembers of pure functions count as constants.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT = Path(__file__).parents[2]
MODULES = [path for package in ("gateway", "migrations_engine") for path in (ROOT / package).rglob("*.py")]

CHANGING: Final = frozenset(
    {"add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft", "remove",
     "reverse", "setdefault", "sort", "update"}
)  # fmt: skip
#: Objects that are made to be changed.
STATEFUL: Final = frozenset(
    {"Condition", "ContextVar", "Counter", "Event", "Lock", "OrderedDict", "Queue", "RLock", "Semaphore",
     "SimpleQueue", "WeakKeyDictionary", "WeakSet", "WeakValueDictionary", "bytearray", "defaultdict", "deque", "dict",
     "list", "local", "set"}
)  # fmt: skip


def name_of(node: ast.expr) -> str:
    """The last part of a name, without its brackets: ``Lock`` of ``threading.Lock``."""
    if isinstance(node, ast.Subscript):
        return name_of(node.value)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def root_of(node: ast.expr) -> str:
    """The first part of a name: ``self`` of ``self.by_name[key]``."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """The values of the names that a module assigns."""
    found: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            found.update({target.id: node.value for target in node.targets if isinstance(target, ast.Name)})
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found[node.target.id] = node.value
    return found


def changed_in(tree: ast.Module) -> Iterator[str]:
    """The names whose objects the functions of a module change, or which they bind anew."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield from node.names
        targets: Iterable[ast.expr] = ()
        if isinstance(node, ast.Assign | ast.Delete):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        yield from (root_of(one) for one in targets if isinstance(one, ast.Subscript | ast.Attribute))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING:
            yield root_of(node.func.value)


def is_made_to_change(value: ast.expr, stateful: frozenset[str]) -> bool:
    if isinstance(value, ast.Dict):
        return not value.keys
    if isinstance(value, ast.List | ast.Set):
        return not value.elts
    return isinstance(value, ast.Call) and name_of(value.func) in stateful


def classes_with_state(trees: Iterable[ast.Module]) -> Iterator[str]:
    """Classes whose objects change: a method other than ``__init__`` changes an attribute of ``self``."""
    for tree in trees:
        for found in (node for node in tree.body if isinstance(node, ast.ClassDef)):
            methods = (node for node in found.body if isinstance(node, ast.FunctionDef) and node.name != "__init__")
            if any("self" in changed_in(ast.Module(method.body, [])) for method in methods):
                yield found.name


def state_of(tree: ast.Module, stateful: frozenset[str] = STATEFUL) -> list[str]:
    """The names of a module that are state."""
    changed = set(changed_in(tree))
    return sorted(
        name for name, value in assigned(tree).items() if name in changed or is_made_to_change(value, stateful)
    )


def test_modules_have_no_state():
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}
    stateful = STATEFUL | frozenset(classes_with_state(trees.values()))
    found = {(str(path.relative_to(ROOT)), name) for path, tree in trees.items() for name in state_of(tree, stateful)}
    assert found == set()


def test_constants_are_final():
    """mypy then reports a second assignment."""
    found = {
        f"{path.relative_to(ROOT)}: {target.id}"
        for path in MODULES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
        and not (isinstance(node.value, ast.Call) and name_of(node.value.func) == "TypeVar")
        for target in node.targets
        if isinstance(target, ast.Name) and (target.id.isupper() or target.id == "_log")
    }
    assert found == set()


@pytest.mark.parametrize(
    "module",
    [
        "seen = {}",
        "seen: Final[set[int]] = set()",
        "lock = threading.Lock()",
        "sessions: Final[WeakKeyDictionary[A, B]] = WeakKeyDictionary()",
        "numbers = [1]\ndef add(number): numbers.append(number)",
        "process = {'id': 1}\ndef begin(pid): process['id'] = pid",
        "limit = 3\ndef change():\n    global limit\n    limit = 4",
        "counts = Counter()",
        "cache = Cache()\nclass Cache:\n    def keep(self, key): self.by_key[key] = key",
        "date = Date()\nclass Date:\n    def now(self): self.second = 1",
    ],
)
def test_state_is_found(module: str):
    tree = ast.parse(module)
    assert len(state_of(tree, STATEFUL | frozenset(classes_with_state([tree])))) == 1


@pytest.mark.parametrize(
    "module",
    [
        "log = logging.getLogger(__name__)",
        "TABLE: Final = {1: 2}\ndef look_up(number): return TABLE[number]",
        "NAMES = ['a']\ndef longest(): return max(NAMES)",
        "ORIGIN = Point(0, 0)\nclass Point:\n    def __init__(self, x, y): self.x = x",
        "def count():\n    counts = {}\n    counts['a'] = 1",
    ],
)
def test_constants_are_allowed(module: str):
    tree = ast.parse(module)
    assert state_of(tree, STATEFUL | frozenset(classes_with_state([tree]))) == []
