"""Prometheus metrics of the service.

BentoML's own request metrics are off: they keep one time series per requested path, so a client
could exhaust the memory.
"""

import os

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

REQUESTS = Counter("leukoflow_requests_total", "Responses by route and status", ["route", "status"])
PREDICTIONS = Counter(
    "leukoflow_predictions_total", "Classified images", ["route", "label", "decision"]
)
SECONDS = Histogram(
    "leukoflow_prediction_seconds",
    "Seconds from the bytes of an image to its result, including the queue",
    buckets=(0.01, 0.02, 0.03, 0.05, 0.08, 0.13, 0.2, 0.35, 0.6, 1, 2, 5, 10, 20),
)
MODEL = Gauge(
    "leukoflow_model",
    "Workers that serve a model, by its tag",
    ["tag"],
    multiprocess_mode="livesum",
)
RELOAD_FAILURES = Counter(
    "leukoflow_reload_failures_total", "Promoted models that a worker refused", ["reason"]
)
for _reason in ("missing", "changed", "golden", "slow", "unfit", "error"):
    RELOAD_FAILURES.labels(_reason)  # starts at 0, so that the first failure shows as an increase
SHADOW = Counter(
    "leukoflow_shadow_total",
    "Served images scored by the shadow challenger, and whether it predicted the same class",
    ["tag", "agree"],
)
SHADOW_MODEL = Gauge(
    "leukoflow_shadow_model",
    "Workers with a shadow challenger, by its tag",
    ["tag"],
    multiprocess_mode="livesum",
)
SHADOW_REFUSALS = Counter(
    "leukoflow_shadow_refusals_total", "Shadow challengers that a worker refused", ["reason"]
)
POINTER_FAILURES = Counter(
    "leukoflow_pointer_failures_total", "Failed attempts to read the pointer from the store"
)
SHED = Counter("leukoflow_shed_total", "Requests rejected with 429")
LOG_FAILURES = Counter(
    "leukoflow_log_failures_total", "Log lines, kept images or uploads that failed"
)
LOG_DROPPED = Counter(
    "leukoflow_log_dropped_total",
    "Log segments and kept images deleted before upload: the store was unreachable too long",
)


def exposition() -> bytes:
    """All metrics in Prometheus's text format, summed over workers if BentoML runs several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def mark_dead() -> None:
    """Remove this worker from the gauges of live workers; does nothing in a single process."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]
