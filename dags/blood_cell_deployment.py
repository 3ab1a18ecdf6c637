"""Ship the promoted model.

Builds a Bento of the model that was promoted, proves it by serving it from its own folder and
asking it the golden images, and builds the image. Where no registry is configured, or where the
worker has no builder (as those of docker-compose.yml), nothing is pushed: `image` succeeds and says
what it would push, where to, and what can.

## When it fails

- **build**: the served bundle does not match its manifest; the pointer stays where it is.
- **smoke**: the built Bento answers a golden image differently; roll back with
  `leukoflow rollback`, then compare engine versions in the log.
- **image**: the builder failed or the registry refused; its last lines are in the log. Check
  `IMAGE_REGISTRY` and the builder's login to it, then clear the task.
"""

# TaskFlow hands over an XComArg where the task's body gets the value.
# mypy: disable-error-code="arg-type"

from collections.abc import Mapping
from typing import Any

from _assets import MODEL_PROMOTED, promoted
from _defaults import DEFAULT_ARGS, config_field
from airflow.sdk import Param, dag, task

PARAMS = {
    "config": config_field("Whose model to ship."),
    "served": Param(
        "",
        type=["string", "null"],
        title="Model",
        description="URI of the served bundle to ship; empty: the one the pointer names now.",
    ),
}


def _run(context: Mapping[str, Any]) -> tuple[str, str]:
    """Config and run id, the first two arguments of every entry point."""
    from pipeline.entrypoints import configs

    return promoted(context, "config") or configs.own_config(), context["run_id"]


@task
def build(**context: Any) -> str:
    """Pack model, contract and service into a Bento."""
    from pipeline.entrypoints import deployment

    return deployment.build(*_run(context), promoted(context, "served") or "")


@task
def smoke(bento: str, **context: Any) -> str:
    """Serve the Bento from its own folder and ask it the golden images."""
    from pipeline.entrypoints import deployment

    return deployment.smoke(*_run(context), bento)


@task
def image(bento: str, **context: Any) -> str:
    """Build and push the image where a registry and a builder are there; else say what can."""
    from pipeline.entrypoints import deployment

    return deployment.image(*_run(context), bento)


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
    """Build to image."""
    bento = build()
    smoke(bento) >> image(bento)


blood_cell_deployment()
