"""URIs in, URI out: the one place where settings, config, adapters and steps meet.

The command line and the DAGs call these and nothing below them. Steps are imported inside the
functions, so that parsing a DAG or asking for help loads no machine-learning library.
"""

from pipeline.entrypoints.archives import group_archive, mark_seen, new_archives
from pipeline.entrypoints.chain import Judged, to_split, to_verdict
from pipeline.entrypoints.closing import close_training
from pipeline.entrypoints.crossvalidation import crossval
from pipeline.entrypoints.deployment import build, build_image, image, smoke
from pipeline.entrypoints.job import model_name, own_config, run_configs
from pipeline.entrypoints.judging import (
    gate,
    verdict_markdown,
    verdict_passed,
    verdict_unchanged,
)
from pipeline.entrypoints.mirrors import repair
from pipeline.entrypoints.promotion import (
    history,
    promote,
    record_refusal,
    refusals,
    rollback,
    served_now,
)
from pipeline.entrypoints.returned import gather
from pipeline.entrypoints.scored_archives import drift_records, evaluate_archive, find_model
from pipeline.entrypoints.shadow import shadow, shadow_off
from pipeline.entrypoints.training import (
    evaluate,
    export,
    featurize,
    group,
    has_archives,
    ingest,
    shards,
    split,
    train,
    validate,
    weights,
)

__all__ = [
    "Judged",
    "build",
    "build_image",
    "close_training",
    "crossval",
    "drift_records",
    "evaluate",
    "evaluate_archive",
    "export",
    "featurize",
    "find_model",
    "gate",
    "gather",
    "group",
    "group_archive",
    "has_archives",
    "history",
    "image",
    "ingest",
    "mark_seen",
    "model_name",
    "new_archives",
    "own_config",
    "promote",
    "record_refusal",
    "refusals",
    "repair",
    "rollback",
    "run_configs",
    "served_now",
    "shadow",
    "shadow_off",
    "shards",
    "smoke",
    "split",
    "to_split",
    "to_verdict",
    "train",
    "validate",
    "verdict_markdown",
    "verdict_passed",
    "verdict_unchanged",
    "weights",
]
