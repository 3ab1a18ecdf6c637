"""The form of a manual training run."""

from _task_defaults import config_field
from airflow.sdk import Param

PARAMS = {
    "archives": Param(
        [],
        type=["array", "null"],
        title="Archives",
        description="URIs of archives to train on, one per line. Empty: all of archives/<name>/.",
    ),
    "include": Param(
        [],
        type=["array", "null"],
        title="Include",
        description="Read only files that match one of these patterns, one per line, such as "
        "images/TRAIN/**. Empty: the config's ingest.include.",
    ),
    "exclude": Param(
        [],
        type=["array", "null"],
        title="Exclude",
        description="Do not read files that match one of these patterns, one per line, such as "
        "masks. Empty: the config's ingest.exclude.",
    ),
    "limit": Param(
        0,
        type=["integer", "null"],
        minimum=0,
        title="Images per class",
        description="Maximum number of images per class and archive. 0: all.",
    ),
    "config": config_field("Classes, split, training and the gate's thresholds."),
    "only_check": Param(
        False,
        type=["boolean", "null"],
        title="Only check",
        description="Train nothing: write to this run's note whether the archives would train, and "
        "why not.",
    ),
    "require_approval": Param(
        False,
        type=["boolean", "null"],
        title="Require approval",
        description="Wait for a person's approval before promoting a model that passed the gate.",
    ),
    "reason": Param(
        "",
        type=["string", "null"],
        title="Reason",
        description="Why this run was started; recorded in the ledger of promotions.",
    ),
}
