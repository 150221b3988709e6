"""The signals to stop, held back from a new worker until it has its handlers."""

from __future__ import annotations

import os
import signal
from typing import Final

_TO_STOP: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def keep_signals_for_workers() -> None:
    """Block signals to stop until a new worker has its handlers. In the master, before it forks any.

    From the fork until then a worker has the master's handlers, which only record a signal for the master's loop: the
    worker would continue until the master kills it after a timeout.
    """
    release_signals()  # a master that another has started (SIGUSR2) inherits the blocked signals of that fork
    os.register_at_fork(before=_hold_signals, after_in_parent=release_signals)


def _hold_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _TO_STOP)


def release_signals() -> None:
    """Handle signals to stop from now on, and those that were held back."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TO_STOP)
