"""The share of requests that find an idle connection, by pattern of requests and by eviction policy.

Run ``python -m benchmarks.bench_eviction``; it takes some seconds, needs no PostgreSQL and always prints the same. The
last column is the gateway's own policy, on a simulated clock that advances by one with each request.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from gateway.pools.eviction import ranks_to_close, share_of_returning

CONNECTIONS: Final = 100
Choice: TypeAlias = Callable[[int], int]  #: from the number of idle connections to the rank of one, oldest first


def longest_idle(_: int) -> int:
    return 0


def any_idle(generator: random.Random) -> Choice:
    return generator.randrange


def in_the_older_half(generator: random.Random) -> Choice:
    return lambda idle: generator.randrange((idle + 1) // 2)


def hits(requests: Sequence[int], choice: Choice | None, connections: int = CONNECTIONS) -> float:
    """Return the share of requests that found a connection, after all connections have been opened.

    :param choice: None for the gateway's own policy
    """
    last_uses: dict[int, float] = {}
    idle: dict[int, float] = {}  # by last use, oldest first
    share, found, counted = 0.0, 0, 0
    for now, database in enumerate(requests):
        found += database in idle
        counted += 1
        if database not in idle and len(idle) >= connections:
            oldest = next(iter(idle.values()))
            share = share_of_returning(share, now - last_uses.get(database, float("-inf")), now - oldest)
            rank = choice(len(idle)) if choice else ranks_to_close(1, len(idle), share)[0]
            del idle[list(idle)[rank]]
        idle.pop(database, None)
        idle[database] = last_uses[database] = now
        if now == len(requests) // 5:
            found = counted = 0
    return found / counted


def rotation(ratio: float, *, disorder: float = 0.0, repeats: int = 1, rounds: int = 25) -> list[int]:
    """Return requests to *ratio* databases per connection in turn, *repeats* for each, somewhat out of order."""
    generator, count = random.Random(1), round(ratio * CONNECTIONS)
    requests: list[int] = []
    for _ in range(rounds):
        order = sorted(range(count), key=lambda database: database + generator.gauss(0, disorder * count))
        requests += [database for database in order for _ in range(repeats)]
    return requests


def zipf(ratio: float, exponent: float, length: int = 15_000) -> list[int]:
    """Return requests of which most are for a few databases."""
    databases = range(round(ratio * CONNECTIONS))
    return random.Random(2).choices(databases, [1 / (rank + 1) ** exponent for rank in databases], k=length)


def bursts(length: int = 15_000) -> list[int]:
    """Return requests to twenty active databases of five hundred, each for some four hundred requests."""
    generator = random.Random(3)
    active, requests = [generator.randrange(500) for _ in range(20)], []
    for _ in range(length):
        if generator.random() < 0.05:
            active[generator.randrange(20)] = generator.randrange(500)
        requests.append(generator.choice(active))
    return requests


def shifts() -> list[int]:
    """Return requests to three sets of eighty databases, one after another, repeatedly."""
    generator = random.Random(4)
    return [80 * (phase % 3) + generator.randrange(80) for phase in range(15) for _ in range(800)]


def looked_through() -> list[int]:
    """Return requests of a zipf distribution, with scans of every database between them."""
    requests = zipf(5, 1.0)
    return [each for at in range(0, len(requests), 2000) for each in (*requests[at : at + 2000], *range(500))]


WORKLOADS: Final = {
    "rotation, 0.95 databases per connection": rotation(0.95),
    "rotation, 1.05": rotation(1.05),
    "rotation, 1.1": rotation(1.1),
    "rotation, 1.25": rotation(1.25),
    "rotation, 1.5": rotation(1.5),
    "rotation, 2": rotation(2),
    "rotation, 1.1, somewhat out of order": rotation(1.1, disorder=0.05),
    "rotation, 1.25, much out of order": rotation(1.25, disorder=0.2),
    "rotation, 1.25, five requests each": rotation(1.25, repeats=5),
    "zipf, 4, exponent 0.8": zipf(4, 0.8),
    "zipf, 4, exponent 1": zipf(4, 1.0),
    "zipf, 2, exponent 1": zipf(2, 1.0),
    "evenly at random, 1.25": zipf(1.25, 0.0),
    "bursts": bursts(),
    "one set after another": shifts(),
    "zipf, and all once now and then": looked_through(),
}


def main() -> None:
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    choices = {
        "longest idle": longest_idle,
        "any": any_idle(random.Random(5)),
        "older half": in_the_older_half(random.Random(6)),
        "gateway": None,
    }
    print(f"{'':40}" + "".join(f"{name:>14}" for name in choices))
    for name, requests in WORKLOADS.items():
        print(f"{name:40}" + "".join(f"{hits(requests, choice):14.2f}" for choice in choices.values()))


if __name__ == "__main__":
    main()
