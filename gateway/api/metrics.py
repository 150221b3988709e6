"""``GET /metrics``: metrics for Prometheus, summed over the files of all workers."""

from __future__ import annotations

import logging
import re
from bisect import bisect_left
from collections.abc import Callable, Mapping
from functools import partial
from threading import Lock
from typing import Final, cast

from flask import Blueprint, Flask, Response, current_app, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_flask_exporter import PrometheusMetrics

from gateway.api.metric_files import Cell, MetricFiles
from gateway.api.requests import current_services
from gateway.events import (
    CallFailed,
    CallFinished,
    CallWasSlow,
    ConnectionEvicted,
    ConnectionLeased,
    DatabaseMigrated,
    DeployEnded,
    Events,
    LeaseWaited,
    RequestFailed,
    RequestRefusedByRate,
    TemplateLookedUp,
)
from gateway.pools import Occupancy, PoolStatistics

_log: Final = logging.getLogger(__name__)

blueprint: Final = Blueprint("metrics", __name__)
_EXTENSION: Final = "gateway metrics"
SLOW_CALLS: Final = "db_gateway_slow_calls"
FAILED_CALLS: Final = "db_gateway_failed_calls"
_DEPLOY_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
#: These counters were always named so; prometheus_client appends _total to every counter.
_POOL_COUNTERS: Final = re.compile(r"^((?:# (?:HELP|TYPE) )?db_gateway_pool_(?:hits|misses))_total", re.MULTILINE)


class _Seconds:
    """A series of a histogram with ``_BUCKETS``, as cells."""

    __slots__ = ("_buckets", "_sum")

    def __init__(self, series: Histogram) -> None:
        self._sum = Cell(series._sum)
        self._buckets = [Cell(bucket) for bucket in series._buckets]

    def observe(self, seconds: float) -> None:
        """Count a duration."""
        self._sum.add(seconds)
        self._buckets[bisect_left(_BUCKETS, seconds)].add(1.0)


class Metrics:
    """The metrics of a gateway. Created once, before the workers are forked."""

    def __init__(self, app: Flask, events: Events) -> None:
        """Listen to all events, and create a directory for the files of this gateway."""
        self.files = MetricFiles()
        self._events = events
        counter = partial(Counter, registry=None)  # exposed from the files
        histogram = partial(Histogram, registry=None)
        self._count_calls(counter, histogram)
        self._count_rare_events(counter, histogram)
        gauge = partial(Gauge, registry=None, multiprocess_mode="mostrecent")
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

    def _count_calls(self, counter: Callable[..., Counter], histogram: Callable[..., Histogram]) -> None:
        """Count what every call emits. Finding a series by its labels costs more than counting, so series are kept."""
        self._queries = counter(
            "db_gateway_queries", "Calls that reached their database, including failed ones.", ["platform"]
        )
        self._durations = histogram(
            "db_gateway_query_duration_seconds",
            "Duration of these calls, including the wait for a connection.",
            ["platform"],
            buckets=_BUCKETS,
        )
        self._hits = counter("db_gateway_pool_hits", "Leases served by an idle connection.", ["database"])
        self._misses = counter(
            "db_gateway_pool_misses", "Leases that waited for a connection, or opened one.", ["database"]
        )
        self._waits = histogram(
            "db_gateway_pool_wait_seconds",
            "Duration of leases that found no idle connection.",
            ["leased"],
            buckets=_BUCKETS,
        )
        self._calls: dict[str, tuple[Cell, _Seconds]] = {}
        self._leases: dict[tuple[str, bool], Cell] = {}
        self._seconds_of_waits: dict[bool, _Seconds] = {}
        self._lock = Lock()  # of all cells
        self._events.listen(CallFinished, self._count_call)
        self._events.listen(ConnectionLeased, self._count_lease)
        self._events.listen(LeaseWaited, self._count_wait)

    def _count_rare_events(self, counter: Callable[..., Counter], histogram: Callable[..., Histogram]) -> None:
        errors = counter("db_gateway_errors", "Requests answered with an error.", ["type"])
        slow = counter(SLOW_CALLS, "Calls that took SLOW_CALL_MS or longer.", ["platform", "function"])
        failed = counter(
            FAILED_CALLS, "Calls whose function raised an error or timed out.", ["platform", "function", "type"]
        )
        deploys = histogram(
            "db_gateway_deploy_duration_seconds",
            "Duration of deploys to one database, by result: done, dry_run, or the code of the error.",
            ["purpose", "result"],
            buckets=_DEPLOY_BUCKETS,
        )
        evictions = counter("db_gateway_pool_evictions", "Idle connections evicted for other databases.", ["database"])
        migrated = counter("db_gateway_migrated_databases", "Databases of migrations, by their status.", ["status"])
        templates = counter("db_gateway_template_lookups", "Template lookups for new databases.", ["found"])
        refused = counter("db_gateway_rate_limited", "Requests refused by a rate limit.", ["platform"])
        listen = self._events.listen
        listen(RequestFailed, lambda event: errors.labels(event.code).inc())
        listen(CallWasSlow, lambda event: slow.labels(event.platform, event.function).inc())
        listen(CallFailed, lambda event: failed.labels(event.platform, event.function, event.code).inc())
        listen(DeployEnded, lambda event: deploys.labels(event.purpose, event.result).observe(event.seconds))
        listen(ConnectionEvicted, lambda event: evictions.labels(event.database).inc())
        listen(DatabaseMigrated, lambda event: migrated.labels(event.status).inc())
        listen(TemplateLookedUp, lambda event: templates.labels("yes" if event.found else "no").inc())
        listen(RequestRefusedByRate, lambda event: refused.labels(event.platform).inc())

    def begin(self, pid: int) -> None:
        """Start to count in a new worker. If its files cannot be created, the worker counts nothing."""
        try:
            self.files.begin(pid)
        except OSError as exc:
            self._events.remove_listeners()
            _log.error("the metrics of this worker will be missing from /metrics: %s", exc)

    def _count_call(self, call: CallFinished) -> None:
        cells = self._calls.get(call.platform)
        if cells is None:
            counter, histogram = self._queries.labels(call.platform), self._durations.labels(call.platform)
            cells = self._calls.setdefault(call.platform, (Cell(counter._value), _Seconds(histogram)))
        count, seconds = cells
        with self._lock:
            count.add(1.0)
            seconds.observe(call.seconds)

    def _count_wait(self, wait: LeaseWaited) -> None:
        seconds = self._seconds_of_waits.get(wait.has_leased)
        if seconds is None:
            series = self._waits.labels("yes" if wait.has_leased else "no")
            seconds = self._seconds_of_waits.setdefault(wait.has_leased, _Seconds(series))
        with self._lock:
            seconds.observe(wait.seconds)

    def _count_lease(self, lease: ConnectionLeased) -> None:
        cell = self._leases.get((lease.database, lease.was_idle))
        if cell is None:
            series = (self._hits if lease.was_idle else self._misses).labels(lease.database)
            cell = self._leases.setdefault((lease.database, lease.was_idle), Cell(series._value))
        with self._lock:
            cell.add(1.0)

    def text(self, statistics: PoolStatistics, occupancy: Occupancy) -> str:
        """Return all numbers in Prometheus' text format."""
        with self.files.locked():
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
        collector = MultiProcessCollector(registry, path=str(self.files.directory))  # type: ignore[no-untyped-call]
        with self.files.locked():
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


def count(app: Flask, events: Events) -> None:
    """Start to count. In the master, before it forks."""
    app.extensions[_EXTENSION] = Metrics(app, events)


def metrics_of(app: Flask) -> Metrics:
    """Return the metrics of the application."""
    return cast(Metrics, app.extensions[_EXTENSION])


@blueprint.get("/metrics")
def metrics() -> Response:
    """Return all metrics, without a query to PostgreSQL."""
    registry = current_services().registry
    text = metrics_of(current_app).text(registry.statistics(), registry.occupancy())
    return Response(text, content_type="text/plain; version=0.0.4; charset=utf-8")
