"""The cost of the guard for a call: without keys, with a right, a wrong and another platform's key, with a rate limit.

``python -m benchmarks.bench_guard`` prints CPU microseconds of the best of several runs, and their ratio to the first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from gateway.api.guard import Guard
from gateway.errors import GatewayError
from gateway.events import Events
from gateway.routes import CALL
from gateway.settings import Settings

RUNS: Final = 7
REQUESTS: Final = 20_000
PLATFORMS: Final = 100


def cost(admit: Callable[[], None]) -> float:
    """Return the CPU microseconds of one request, in the best run."""
    best = float("inf")
    for _ in range(RUNS):
        began = time.process_time()
        for _ in range(REQUESTS):
            admit()
        best = min(best, time.process_time() - began)
    return best / REQUESTS * 1e6


def request(settings: Settings, key: str | None = None) -> Callable[[], None]:
    guard = Guard(settings, Events())
    environ = {"REMOTE_ADDR": "127.0.0.1"} | ({} if key is None else {"HTTP_X_API_KEY": key})

    def admit() -> None:
        try:
            guard.admit(CALL, environ).check_platform("shop")
        except GatewayError:
            return

    return admit


def main() -> None:
    logging.disable(logging.CRITICAL)  # refusals are logged, which is no cost of the guard
    keys = {"SHOP": ("right-key",), "ADMIN": ("admin-key",), **{f"P{n}": (f"key-{n}",) for n in range(PLATFORMS)}}
    keyed = Settings(conninfo="", api_keys=keys)
    cases = {
        "no keys": request(Settings(conninfo="")),
        "right key": request(keyed, "right-key"),
        "wrong key": request(keyed, "wrong-key"),
        "another platform's key": request(keyed, "key-7"),
        "rate limit": request(Settings(conninfo="", rate_limit="1000000000/hour")),
    }
    costs = {name: cost(admit) for name, admit in cases.items()}
    for name, microseconds in costs.items():
        print(f"{name:24} {microseconds:6.2f} µs, {microseconds / costs['no keys']:.1f} times")


if __name__ == "__main__":
    main()
