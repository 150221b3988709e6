"""Another worker of a test, which reads a command per line and answers each with a line. Run by its path.

``touch DATABASE`` leases a connection and returns it, ``hold`` keeps it, ``release`` returns the kept one; each answers
with the backend's process id, or the code of an error. ``changed`` notifies of a deploy. The end of the input closes
the registry.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gateway.errors import GatewayError
from gateway.pools import ConnectionRegistry, PoolOptions


def main() -> None:
    settings = json.loads(sys.stdin.readline())
    registry = ConnectionRegistry(PoolOptions(**settings | {"slots_path": Path(settings["slots_path"])}))
    registry.open()
    print("ready", flush=True)
    held = {}
    for line in sys.stdin:
        command, database = line.split()
        if command == "changed":
            registry.changed(database)
            print(command, flush=True)
            continue
        try:
            lease = held.pop(database) if command == "release" else registry.lease(database)
            if command == "release":
                lease.__exit__(None, None, None)
                answer = "released"
            else:
                answer = str(lease.__enter__().info.backend_pid)
                if command == "hold":
                    held[database] = lease
                else:
                    lease.__exit__(None, None, None)
        except GatewayError as error:
            answer = error.code
        print(answer, flush=True)
    registry.close()


if __name__ == "__main__":
    main()
