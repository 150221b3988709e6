"""Whether the cost of reading a text grows faster than the text."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from migrations_engine.errors import SchemaExtractionFailed

SMALL = 3000  #: characters; the largest text has eight times as many


def cpu_seconds(read: Callable[[str], object], text: str) -> float:
    before = time.thread_time()
    with suppress(SchemaExtractionFailed):
        read(text)
    return time.thread_time() - before


def grows_faster_than_the_input(read: Callable[[str], object], shape: Callable[[int], str]) -> bool:
    """Compare the CPU time for 1, 2, 4 and 8 times the input: for eight times it may be twenty times as long.

    A quadratic cost takes 64 times as long. A single bad result may be caused by another program, so the best of some
    attempts counts. Times below a few milliseconds are not compared.
    """
    texts = [shape(SMALL * factor) for factor in (1, 2, 4, 8)]
    best = [cpu_seconds(read, text) for text in texts]
    for _ in range(6):
        if best[-1] < 0.005 or best[-1] <= 20 * best[0]:
            return False
        best = [min(known, cpu_seconds(read, text)) for known, text in zip(best, texts, strict=True)]
    return True


def repeated(before: str, unit: str, after: str = "") -> Callable[[int], str]:
    return lambda size: before + unit * ((size - len(before) - len(after)) // len(unit)) + after
