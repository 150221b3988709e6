"""``python -m tests.fuzz.histories``: random histories of schemas, played to an old, a skipping and a new database.

Ends with status 1 if a difference between them was not named, or a legal history was refused. ``--only SEED`` plays one
history again, ``--write FOLDER`` writes the failing ones as files.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.fuzz.histories.declarations import Declarations
from tests.fuzz.histories.play import Player
from tests.fuzz.histories.respelled import faults_of_spelling
from tests.fuzz.histories.server import Server
from tests.support.servers import Servers
from tests.support.spelling import spellings, words_of_server

EXAMPLES = Path(__file__).parents[3] / "examples"


def main() -> int:
    """Run with the given arguments and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.histories", description=__doc__)
    parser.add_argument("archives", nargs="*", type=Path, help="folders or .tar.gz; default: those of examples/")
    parser.add_argument("--seed", type=int, default=0, help="of the first history")
    parser.add_argument("--count", type=int, default=20, help="histories of each archive")
    parser.add_argument("--write", type=Path, help="folder for the failing histories")
    parser.add_argument("--spelling", choices=sorted(spellings(())), help="in which accepted releases are played again")
    parser.add_argument("--version", type=int, default=18, help="of PostgreSQL")
    arguments = parser.parse_args()
    archives = arguments.archives or sorted(path for path in EXAMPLES.glob("*/postgresql"))
    failed, kinds = 0, Counter[str]()
    with ExitStack() as stack:
        urls = Servers(stack).urls_of(arguments.version)
        server = Server(urls.ordinary, urls.superuser)
        spelling = spellings(words_of_server(urls.superuser))[arguments.spelling] if arguments.spelling else None
        for archive in archives:
            base = Declarations.read(archive)
            name = archive.parent.name if archive.is_dir() else archive.name.removesuffix(".tar.gz")
            for seed in range(arguments.seed, arguments.seed + arguments.count):
                began = time.monotonic()
                result = Player(server, base, f"{name}-{seed}").play()
                if spelling is not None and not (result.faults or result.refusals):
                    result.faults += faults_of_spelling(server, result, spelling)
                kinds += result.kinds
                failed += bool(result.faults)
                counts = f"{len(result.releases)} releases, {len(result.faults)} faults"
                print(f"{result.seed}: {counts}, {time.monotonic() - began:.1f} s", flush=True)
                for text in [*result.refusals, *result.faults]:
                    print("  " + text.replace("\n", "\n    "), flush=True)
                if arguments.write and (result.faults or arguments.count == 1):
                    result.write(arguments.write / result.seed)
    print(dict(kinds.most_common()))
    print(f"{failed} histories with faults")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
