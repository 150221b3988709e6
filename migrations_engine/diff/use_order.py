"""The order of objects that use each other.

Views read other views, domains are made over domains, and a composite type has attributes of other types.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

T = TypeVar("T")


def labels_by_use(objects: Mapping[str, T], uses: Callable[[T], Collection[str]]) -> list[str]:
    """Return the labels of *objects*, each after those it uses.

    :param objects: by label; objects that use nothing of each other keep this order
    :param uses: returns the labels that an object uses; those that are not in *objects* do not count
    """
    ordered: list[str] = []
    pending = list(objects)
    while pending:
        waiting = set(pending)
        ready = [label for label in pending if not waiting.intersection(uses(objects[label])) - {label}]
        ordered += ready or pending  # a cycle has no order
        pending = [label for label in pending if label not in set(ready)] if ready else []
    return ordered
