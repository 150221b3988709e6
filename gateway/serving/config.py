"""gunicorn's configuration: ``gunicorn -c python:gateway.serving.config wsgi:application``, or the command ``serve``.

Everything is loaded before the fork, and connected after it: a connection from before would be shared by all workers.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Final

from gateway.api.metrics import metrics_of
from gateway.operations.reconcile import reconcile_at_start
from gateway.serving.logs import GunicornLogger, configure_logging
from gateway.serving.places import Places
from gateway.serving.service_manager import ServiceManager
from gateway.serving.signals import keep_signals_for_workers
from gateway.serving.worker import Worker
from gateway.settings import Settings, SettingsError

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter

    class Master(Arbiter):
        """gunicorn's master process, with what :func:`on_starting` adds to it."""

        places: Places
        service_manager: ServiceManager


def _read_settings() -> Settings:
    try:
        return Settings.from_environment()
    except SettingsError as exc:
        sys.exit("\n".join(f"Error: {problem}" for problem in exc.problems))


SETTINGS: Final = _read_settings()
configure_logging(SETTINGS.log_level, SETTINGS.log_format)

# What follows are gunicorn's names.
_host: Final = f"[{SETTINGS.gateway_host}]" if ":" in SETTINGS.gateway_host else SETTINGS.gateway_host
bind = [f"{_host}:{SETTINGS.gateway_port}"]
workers = SETTINGS.workers
threads = SETTINGS.threads
worker_class = Worker
logger_class = GunicornLogger
loglevel = SETTINGS.log_level
preload_app = True
#: Seconds an idle connection is kept. The default of two would disconnect clients that keep pools of connections.
keepalive = 75
#: Seconds for requests in flight when the gateway stops: a call ends by its statement timeout.
graceful_timeout = max(30, SETTINGS.statement_timeout_ms // 1000 + 5)
#: Seconds after which a worker is killed whose main loop has not notified the master. It never waits for a request.
timeout = 60
#: The folder of the files with which workers notify the master, in memory where possible.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gunicorn makes a file of its own there
limit_request_line = 8190
limit_request_field_size = 16380
#: Clients of a worker; for one more, the client with the earliest deadline is disconnected.
worker_connections = 2000
#: gunicorn trusts no X-Forwarded-… headers; the application reads them as TRUSTED_PROXIES allows.
forwarded_allow_ips = ""
#: gunicorn's administration socket, which is not used.
control_socket_disable = True


#: A block of memory of this size, as large requests need it, is taken from the system and returned when it is free.
LARGE_BLOCK_BYTES: Final = 2**18
_M_MMAP_THRESHOLD: Final = -3  # in glibc's malloc.h


def on_starting(server: Master) -> None:
    """Prepare the master."""
    server.places = Places(SETTINGS.workers)
    server.service_manager = ServiceManager()
    keep_signals_for_workers()
    _return_large_blocks()


def _return_large_blocks() -> None:
    """Keep glibc from keeping the memory of large requests.

    It raises the threshold by itself to the largest block that was freed, up to 32 MB, and then keeps twice as much in
    the arena of each thread. Other C libraries have no such setting.
    """
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def when_ready(server: Master) -> None:
    """Exclude all loaded objects from garbage collection, which would copy their pages into every worker."""
    gc.collect()
    gc.freeze()
    stop = server.stop

    def announced_stop(graceful: bool = True) -> None:
        server.service_manager.stopping()
        stop(graceful)  # type: ignore[no-untyped-call]

    server.stop = announced_stop  # type: ignore[method-assign]  # there is no hook for the start of a stop


def on_reload(server: Master) -> None:
    """Notify systemd of a reload, in the master."""
    server.service_manager.reloading()


def post_worker_init(worker: Worker) -> None:
    """Notify systemd, in the worker, when PostgreSQL answers."""
    is_connected = worker.services.server_check.is_connected
    Thread(target=worker.service_manager.ready_when, args=(is_connected,), name="ready", daemon=True).start()


def pre_fork(server: Master, worker: Worker) -> None:
    """Assign a worker its place, in the master."""
    worker.service_manager = server.service_manager
    worker.places = server.places
    worker.place = server.places.next_place(other.place for other in server.WORKERS.values())


def post_fork(_server: Master, worker: Worker) -> None:
    """Open the worker's pools, in the worker."""
    metrics_of(worker.app.wsgi()).begin(os.getpid())
    services = worker.services
    services.open()
    if worker.place == worker.places.for_deploys and services.platforms.all():
        Thread(target=reconcile_at_start, args=(services,), name="reconcile", daemon=True).start()


def child_exit(server: Master, _worker: Worker) -> None:
    """Keep the counts of an ended worker, in the master, also of a killed one."""
    metrics_of(server.app.wsgi()).files.fold({os.getpid(), *server.WORKERS})


def on_exit(server: Master) -> None:
    """Remove the files of the metrics, in the master, when it ends in an orderly way."""
    metrics_of(server.app.wsgi()).files.remove()


def worker_exit(_server: Master, worker: Worker) -> None:
    """Close the worker's connections, in the worker, when it ends in an orderly way."""
    worker.services.close()
