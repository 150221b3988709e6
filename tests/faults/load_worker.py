"""One worker process for the fault tests: threads that lease connections until the end of its input. Run by its path.

It reads one JSON object from standard input and prints ``ready`` when the registry is open. For every further line, and
at the end, it prints the outcomes so far as JSON.
"""

from __future__ import annotations

import json
import random
import sys
import threading
from collections import Counter
from pathlib import Path

import psycopg

from gateway.errors import GatewayError
from gateway.pools import ConnectionRegistry, PoolOptions


def work(registry: ConnectionRegistry, task: dict, stop: threading.Event, seed: int, outcome: Counter) -> None:
    choose = random.Random(seed)
    while not stop.is_set():
        database = choose.choice(task["databases"])
        try:
            with registry.lease(database) as connection:
                row = connection.execute(
                    "SELECT current_database(), pg_sleep(%s)::text", [choose.random() * task["query_seconds"]]
                ).fetchone()
                outcome["right" if row[0] == database else "wrong"] += 1
                outcome[f"on {database}"] += 1
        except GatewayError as error:
            outcome[error.code] += 1
        except psycopg.OperationalError:
            outcome["broken"] += 1
        stop.wait(choose.random() * task.get("pause_seconds", 0))


def main() -> None:
    task = json.loads(sys.stdin.readline())
    settings = task["registry"]
    registry = ConnectionRegistry(PoolOptions(**settings | {"slots_path": Path(settings["slots_path"])}))
    registry.open()
    stop, outcomes = threading.Event(), [Counter() for _ in range(task["threads"])]
    threads = [
        threading.Thread(target=work, args=(registry, task, stop, task["seed"] * 1000 + number, outcome))
        for number, outcome in enumerate(outcomes)
    ]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    for _ in sys.stdin:
        tell(outcomes)
    stop.set()
    for thread in threads:
        thread.join()
    registry.close()
    tell(outcomes)


def tell(outcomes: list[Counter]) -> None:
    total = Counter()
    for outcome in outcomes:
        total.update(outcome.copy())
    print(json.dumps(total), flush=True)


if __name__ == "__main__":
    main()
