"""``GET /metrics``: metrics for Prometheus, summed over all workers.

Each worker counts in its own files, which prometheus_client maps into memory. The worker that answers sums up the files
of all workers. The master folds the files of ended workers into one, so that no count is lost.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import struct
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Final, cast

from flask import Blueprint, Flask, Response, current_app, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_flask_exporter import PrometheusMetrics

from gateway.api.requests import current_services
from gateway.events import (
    CallFailed,
    CallFinished,
    CallWasSlow,
    ConnectionEvicted,
    ConnectionLeased,
    DatabaseMigrated,
    DeployEnded,
    LeaseWaited,
    RequestFailed,
    RequestRefusedByRate,
    TemplateLookedUp,
    listen,
    remove_listeners,
)
from gateway.pools import Occupancy, PoolStatistics

_log: Final = logging.getLogger(__name__)

blueprint: Final = Blueprint("metrics", __name__)
_EXTENSION: Final = "gateway metrics"
_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"  #: the directory of prometheus_client's files
_KINDS: Final = ("counter", "histogram")  #: of files that are kept after the end of their worker
_GAUGES: Final = "gauge_mostrecent"
_ENDED: Final = "ended"  #: in place of the process id, in the names of the files of all ended workers
_process: Final = {"id": os.getpid()}  #: read for every count; os.getpid() takes longer
_Values: Final[Any] = MmapedDict  #: a file of values; untyped
_DOUBLE: Final = struct.Struct("d")
_FILE_BYTES: Final = 2**16  #: the initial size of prometheus_client's files
_ENTRY_BYTES: Final = 40  #: the maximum size of a value in a file, without its key
_UNREADABLE: Final = (OSError, struct.error, RuntimeError)  #: what prometheus_client raises
SLOW_CALLS: Final = "db_gateway_slow_calls"
FAILED_CALLS: Final = "db_gateway_failed_calls"
_DEPLOY_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
#: These counters were always named so; prometheus_client appends _total to every counter.
_POOL_COUNTERS: Final = re.compile(r"^((?:# (?:HELP|TYPE) )?db_gateway_pool_(?:hits|misses))_total", re.MULTILINE)


class _Cell:
    """A value in this worker's file. It is counted in here alone, and not by prometheus_client's own series.

    That looks for a fork and takes a lock of its own each time, which for a call costs more than its guard does.
    """

    __slots__ = ("_file", "_place", "_value")

    def __init__(self, value: Any) -> None:  # noqa: ANN401 - prometheus_client's class is made at run time
        """Go on from what *value* is now."""
        self._file, self._value = value._file, value._value
        at = self._file._positions[value._key]
        self._place = slice(at, at + _DOUBLE.size)

    def add(self, amount: float) -> None:
        """Count *amount*. The file is mapped anew when it grows."""
        self._value += amount
        self._file._m[self._place] = _DOUBLE.pack(self._value)


class Metrics:
    """The metrics of a gateway. Created once, before the workers are forked."""

    def __init__(self, app: Flask) -> None:
        """Listen to all events, and create a directory for the files of this gateway."""
        # In memory if possible: disks get full, and old files in /tmp may be removed.
        memory = "/dev/shm"  # noqa: S108 - what is made there is a folder of its own
        folder = memory if os.access(memory, os.W_OK) else None
        os.environ[_DIRECTORY] = tempfile.mkdtemp(prefix="stonescriptdb-gateway-metrics-", dir=folder)
        # prometheus_client chose its class at import time, when the variable was not set.
        values.ValueClass = values.MultiProcessValue(lambda: _process["id"])  # type: ignore[no-untyped-call]
        counter = partial(Counter, registry=None)  # exposed from the files
        gauge = partial(Gauge, registry=None, multiprocess_mode="mostrecent")
        self._queries = counter(
            "db_gateway_queries", "Calls that reached their database, including failed ones.", ["platform"]
        )
        self._durations = Histogram(
            "db_gateway_query_duration_seconds",
            "Duration of these calls, including the wait for a connection.",
            ["platform"],
            buckets=_BUCKETS,
            registry=None,
        )
        self._hits = counter("db_gateway_pool_hits", "Leases served by an idle connection.", ["database"])
        self._misses = counter(
            "db_gateway_pool_misses", "Leases that waited for a connection, or opened one.", ["database"]
        )
        self._errors = counter("db_gateway_errors", "Requests answered with an error.", ["type"])
        self._count_rare_events(counter)
        self._pools = gauge("db_gateway_active_pools", "Databases that have a connection.")
        self._connections = gauge("db_gateway_total_connections", "Connections to PostgreSQL.")
        self._most = gauge("db_gateway_max_total_connections", "The budget: the maximum of connections to PostgreSQL.")
        self._states = gauge("db_gateway_connections", "Connections to PostgreSQL by state.", ["state"])
        self._waiting = gauge(
            "db_gateway_budget_waiting", "Pools and deploys that wait for a connection of the budget."
        )
        app.before_request(_leave_out_unknown_routes)
        self._exporter = PrometheusMetrics(
            app,
            path=None,
            group_by="url_rule",
            defaults_prefix="db_gateway",
            buckets=_BUCKETS,
            registry=CollectorRegistry(),
        )
        # Finding a series by its labels costs more than counting in it.
        self._calls: dict[str, tuple[_Cell, _Cell, list[_Cell]]] = {}
        self._leases: dict[tuple[str, bool], _Cell] = {}
        self._lock = Lock()  # of all cells
        listen(CallFinished, self._count_call)
        listen(ConnectionLeased, self._count_lease)
        listen(RequestFailed, self._count_failure)

    def _count_rare_events(self, counter: Callable[..., Counter]) -> None:
        slow = counter(SLOW_CALLS, "Calls that took SLOW_CALL_MS or longer.", ["platform", "function"])
        failed = counter(
            FAILED_CALLS, "Calls whose function raised an error or timed out.", ["platform", "function", "type"]
        )
        waits = Histogram(
            "db_gateway_pool_wait_seconds",
            "Duration of leases that found no idle connection.",
            ["leased"],
            buckets=_BUCKETS,
            registry=None,
        )
        deploys = Histogram(
            "db_gateway_deploy_duration_seconds",
            "Duration of deploys to one database, by result: done, dry_run, or the code of the error.",
            ["purpose", "result"],
            buckets=_DEPLOY_BUCKETS,
            registry=None,
        )
        evictions = counter("db_gateway_pool_evictions", "Idle connections evicted for other databases.", ["database"])
        migrated = counter("db_gateway_migrated_databases", "Databases of migrations, by their status.", ["status"])
        templates = counter("db_gateway_template_lookups", "Template lookups for new databases.", ["found"])
        refused = counter("db_gateway_rate_limited", "Requests refused by a rate limit.", ["platform"])
        listen(CallWasSlow, lambda event: slow.labels(event.platform, event.function).inc())
        listen(CallFailed, lambda event: failed.labels(event.platform, event.function, event.code).inc())
        listen(LeaseWaited, lambda event: waits.labels("yes" if event.has_leased else "no").observe(event.seconds))
        listen(DeployEnded, lambda event: deploys.labels(event.purpose, event.result).observe(event.seconds))
        listen(ConnectionEvicted, lambda event: evictions.labels(event.database).inc())
        listen(DatabaseMigrated, lambda event: migrated.labels(event.status).inc())
        listen(TemplateLookedUp, lambda event: templates.labels("yes" if event.found else "no").inc())
        listen(RequestRefusedByRate, lambda event: refused.labels(event.platform).inc())

    def _count_call(self, call: CallFinished) -> None:
        cells = self._calls.get(call.platform)
        if cells is None:
            cells = self._calls.setdefault(call.platform, self._cells_of_calls(call.platform))
        count, seconds, buckets = cells
        with self._lock:
            count.add(1.0)
            seconds.add(call.seconds)
            buckets[bisect_left(_BUCKETS, call.seconds)].add(1.0)

    def _cells_of_calls(self, platform: str) -> tuple[_Cell, _Cell, list[_Cell]]:
        durations = self._durations.labels(platform)
        count, seconds = self._queries.labels(platform)._value, durations._sum
        return _Cell(count), _Cell(seconds), [_Cell(bucket) for bucket in durations._buckets]

    def _count_lease(self, lease: ConnectionLeased) -> None:
        cell = self._leases.get((lease.database, lease.was_idle))
        if cell is None:
            series = (self._hits if lease.was_idle else self._misses).labels(lease.database)
            cell = self._leases.setdefault((lease.database, lease.was_idle), _Cell(series._value))
        with self._lock:
            cell.add(1.0)

    def _count_failure(self, failure: RequestFailed) -> None:
        self._errors.labels(failure.code).inc()

    def text(self, statistics: PoolStatistics, occupancy: Occupancy) -> str:
        """Return all numbers in Prometheus' text format."""
        with _files(fcntl.LOCK_SH):
            self._pools.set(statistics.active_pools)
            self._connections.set(statistics.total_connections)
            self._most.set(statistics.max_total_connections)
            for state, count in occupancy.by_state().items():
                self._states.labels(state).set(count)
            self._waiting.set(sum(map(len, occupancy.waiting.values())))
            text, _ = self._exporter.generate_metrics()
        return _POOL_COUNTERS.sub(r"\1", text)

    def series(self, metric: str) -> list[tuple[Mapping[str, str], float]]:
        """Return the labels and values of a counter, over all workers."""
        registry = CollectorRegistry()
        collector = MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        with _files(fcntl.LOCK_SH):
            families = collector.collect()  # type: ignore[no-untyped-call]
        return [
            (one.labels, one.value)
            for family in families
            if family.name == metric
            for one in family.samples
            if one.name == f"{metric}_total"
        ]


@PrometheusMetrics.do_not_track()  # type: ignore[untyped-decorator]
def _do_not_track() -> None:
    """Mark the current request as not counted."""


def _leave_out_unknown_routes() -> None:
    """Do not count requests without a route: every invented method would be a new series."""
    if request.url_rule is None:
        _do_not_track()


def count(app: Flask) -> None:
    """Start to count. In the master, before it forks."""
    app.extensions[_EXTENSION] = Metrics(app)


def counted_metrics() -> Metrics:
    """Return the metrics of this gateway."""
    return cast(Metrics, current_app.extensions[_EXTENSION])


@blueprint.get("/metrics")
def metrics() -> Response:
    """Return all metrics, without a query to PostgreSQL."""
    registry = current_services().registry
    text = counted_metrics().text(registry.statistics(), registry.occupancy())
    return Response(text, content_type="text/plain; version=0.0.4; charset=utf-8")


def begin(pid: int) -> None:
    """Create the files of a new worker, in the worker. If that fails, the worker counts nothing.

    Space is reserved, because a mapped file that cannot grow kills its process.
    """
    _process["id"] = pid
    directory = Path(os.environ[_DIRECTORY])
    try:
        for kind in (*_KINDS, _GAUGES):
            file = directory / f"{kind}_{pid}.db"
            if not file.exists():
                _reserve(file.with_suffix(".new"), _FILE_BYTES).rename(file)  # readers never see an empty file
    except OSError as exc:
        remove_listeners()
        _log.error("this worker's numbers will be missing from /metrics: %s", exc)


def fold(living: Collection[int]) -> None:
    """Add the counts of ended workers to one file, and remove theirs. In the master; never raises for a file.

    A file that cannot be folded now is tried again next time, and is included in the metrics until then.
    """
    directory = Path(os.environ[_DIRECTORY])
    try:
        with _files(fcntl.LOCK_EX | fcntl.LOCK_NB):
            for left in directory.glob("*.db"):
                kind, _, pid = left.stem.rpartition("_")
                if pid == _ENDED or int(pid) in living:
                    continue
                if kind in _KINDS:
                    _add(left, directory / f"{kind}_{_ENDED}.db")
                left.unlink()
    except BlockingIOError:
        pass  # another process is reading
    except _UNREADABLE as exc:
        _log.error("what a worker has counted stays in its own file: %s", exc)


def end() -> None:
    """Remove all files, in the master, when the gateway stops."""
    shutil.rmtree(os.environ[_DIRECTORY], ignore_errors=True)


def _add(left: Path, ended: Path) -> None:
    sums: dict[str, float] = {}
    for file in (ended, left):
        if file.exists():
            for key, value, _, _ in _Values.read_all_values_from_file(str(file)):
                sums[key] = sums.get(key, 0.0) + value
    fresh = _reserve(ended.with_suffix(".new"), sum(len(key.encode()) + _ENTRY_BYTES for key in sums) + _FILE_BYTES)
    total = _Values(str(fresh))
    for key, value in sums.items():
        total.write_value(key, value, 0.0)
    total.close()
    fresh.replace(ended)


def _reserve(file: Path, size: int) -> Path:
    with file.open("wb") as fresh:
        os.posix_fallocate(fresh.fileno(), 0, size)
    return file


@contextmanager
def _files(operation: int) -> Iterator[None]:
    """Lock the files, shared for reading or exclusive for folding."""
    with (Path(os.environ[_DIRECTORY]) / "lock").open("a") as lock:
        fcntl.flock(lock, operation)
        yield
