"""Ship the promoted model.

Builds a Bento of the promoted model, serves it and replays its golden images, and builds the
container image. Without a registry, or on a worker without an image builder (as in
docker-compose.yml), no image is built or pushed: `image` succeeds, and its log names the image and
the ways to build it.

## When it fails

- **build**: the served bundle does not match its manifest. The pointer is unchanged.
- **smoke**: the Bento's predictions on a golden image differ. Roll back with `leukoflow rollback`,
  then compare engine versions in the log.
- **image**: the builder failed or the registry refused the push; the log ends with the builder's
  last lines. Check `IMAGE_REGISTRY` and the builder's login, then clear the task.
"""

# TaskFlow hands over an XComArg where the task's body gets the value.
# mypy: disable-error-code="arg-type"

from collections.abc import Mapping
from typing import Any

from _assets import MODEL_PROMOTED, promotion_field
from _task_defaults import DEFAULT_ARGS, config_field
from airflow.sdk import Param, dag, task

PARAMS = {
    "config": config_field("Config of the model to ship."),
    "served": Param(
        "",
        type=["string", "null"],
        title="Model",
        description="URI of the served bundle to ship. Empty: the bundle that the pointer names.",
    ),
}


def _config_and_run_id(context: Mapping[str, Any]) -> tuple[str, str]:
    """Config and run id, the first two arguments of every entry point."""
    from pipeline.entrypoints import config_lookup

    return promotion_field(context, "config") or config_lookup.default_config(), context["run_id"]


@task
def build(**context: Any) -> str:
    """Package model, contract and service as a Bento; returns the Bento's URI."""
    from pipeline.entrypoints import deployment

    return deployment.build(*_config_and_run_id(context), promotion_field(context, "served"))


@task
def smoke(bento: str, **context: Any) -> str:
    """Serve the Bento and replay its golden images; fails if one differs; returns the URI."""
    from pipeline.entrypoints import deployment

    return deployment.smoke(*_config_and_run_id(context), bento)


@task
def image(bento: str, **context: Any) -> str:
    """Build and push the image; without a registry or a builder, only report what is missing."""
    from pipeline.entrypoints import deployment

    return deployment.image(*_config_and_run_id(context), bento)


@dag(
    schedule=MODEL_PROMOTED,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=["blood-cells", "deployment"],
    doc_md=__doc__,
)
def blood_cell_deployment() -> None:
    """Task graph: `build`, `smoke`, `image`."""
    bento = build()
    smoke(bento) >> image(bento)


blood_cell_deployment()
