"""What the service counts.

BentoML's own request metrics are switched off: they keep a time series for every path that anybody
asks for, so a caller could fill the memory with them.
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

REQUESTS = Counter("leukoflow_requests_total", "Answered requests", ["route", "status"])
PREDICTIONS = Counter(
    "leukoflow_predictions_total", "Answered images", ["route", "label", "decision"]
)
SECONDS = Histogram(
    "leukoflow_prediction_seconds",
    "From the bytes of an image to its answer, waiting included",
    buckets=(0.01, 0.02, 0.03, 0.05, 0.08, 0.13, 0.2, 0.35, 0.6, 1, 2, 5, 10, 20),
)
MODEL = Gauge(
    "leukoflow_model",
    "Workers that serve a model, by its tag",
    ["tag"],
    multiprocess_mode="livesum",
)
RELOAD_FAILURES = Counter(
    "leukoflow_reload_failures_total", "Promoted models that a worker refused to serve", ["reason"]
)
for _reason in ("missing", "changed", "golden", "slow", "unfit", "error"):
    RELOAD_FAILURES.labels(_reason)  # a series that begins at 0 shows its first failure as a rise
SHADOW = Counter(
    "leukoflow_shadow_total",
    "Answered images that a challenger scored as well, and whether it named the same class",
    ["tag", "agree"],
)
SHADOW_MODEL = Gauge(
    "leukoflow_shadow_model",
    "Workers that let a challenger score as well, by its tag",
    ["tag"],
    multiprocess_mode="livesum",
)
SHADOW_REFUSALS = Counter(
    "leukoflow_shadow_refusals_total", "Challengers that a worker refused to score", ["reason"]
)
POINTER_FAILURES = Counter(
    "leukoflow_pointer_failures_total", "Looks at the pointer that the store did not answer"
)
SHED = Counter("leukoflow_shed_total", "Requests turned away because too many waited")
LOG_FAILURES = Counter(
    "leukoflow_log_failures_total", "Lines, images or uploads of the service's records that failed"
)
LOG_DROPPED = Counter(
    "leukoflow_log_dropped_total",
    "Closed log segments and images deleted before their upload, the store being away too long",
)


def exposition() -> bytes:
    """Everything in Prometheus's text format: of all workers where BentoML has started several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def leave() -> None:
    """Take this worker out of the gauges that count living workers."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]
