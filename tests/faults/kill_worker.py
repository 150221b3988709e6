"""Worker processes that are killed one after the other, each while it uses every connection there is. Run by its path.

It reads one JSON object from standard input. The workers are forks of this process, which has imported everything and
has no thread, so that one more costs next to nothing. It prints how many were killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
from pathlib import Path

from gateway.pools import ConnectionRegistry, PoolOptions


def work(task: dict, report: int) -> None:
    """Lease all connections and keep them busy, and print a line when all are."""
    options = task["registry"] | {"slots_path": Path(task["registry"]["slots_path"])}
    registry = ConnectionRegistry(PoolOptions(**options))
    registry.open()
    all_busy = threading.Barrier(task["connections"], lambda: os.write(report, b"!"))

    def hold(database: str) -> None:
        with registry.lease(database) as connection:
            connection.pgconn.send_query(b"SELECT pg_sleep(3600)")
            all_busy.wait()
            threading.Event().wait()

    for number in range(task["connections"]):
        threading.Thread(target=hold, args=(task["databases"][number % len(task["databases"])],)).start()


def main() -> None:
    task = json.loads(sys.stdin.readline())
    choose = random.Random(task["seed"])
    for number in range(task["kills"]):
        reader, report = os.pipe()
        if not (worker := os.fork()):
            os.close(reader)
            try:
                work(task, report)
            finally:
                threading.Event().wait()  # to be killed
        os.close(report)
        if number % task["early_one_in"]:
            assert os.read(reader, 1) == b"!"
        else:
            threading.Event().wait(choose.random() * 0.3)  # at any time: connecting, waiting, checking orphans
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
        os.close(reader)
    print(task["kills"])


if __name__ == "__main__":
    main()
