"""The import rules of docs/architecture.md."""

import re
import sys

import pytest

from tests.architecture.source_tree import PACKAGES, ROOT, imported, modules, ours, within

SETTLED = tuple(
    f"pipeline.{name}"
    for name in ("digests", "errors", "records", "run_context", "settings", "telemetry")
)
"""Modules that every room above the contract may import."""

ALLOWED = {
    "contract": ("pipeline.contract", "pipeline.errors"),
    "dag_ids": (),
    "digests": ("pipeline.errors",),
    "records": ("pipeline.errors",),
    "artifacts": ("pipeline.contract", "pipeline.errors", "pipeline.records"),
    "config": ("pipeline.config", "pipeline.contract", *SETTLED),
    "errors": (),
    "run_context": (),
    "settings": ("pipeline.errors",),
    "telemetry": (),
    "version": (),
    "http": ("pipeline.http", *SETTLED),
    "adapters": (
        *("pipeline.adapters", "pipeline.artifacts", "pipeline.contract", "pipeline.http"),
        *SETTLED,
    ),
    "statistics": ("pipeline.statistics", "pipeline.config", "pipeline.contract", *SETTLED),
    "engine": (
        *("pipeline.engine", "pipeline.config", "pipeline.artifacts", "pipeline.contract"),
        *SETTLED,
    ),
    "pages": ("pipeline.pages", "pipeline.adapters.storage", *SETTLED),
    "modeling": (
        *("pipeline.modeling", "pipeline.engine", "pipeline.statistics"),
        *("pipeline.config", "pipeline.artifacts", "pipeline.contract"),
        # Weights and activations are artefacts, and a checkpoint is an object.
        *("pipeline.adapters.artifact_store", "pipeline.adapters.storage"),
        *SETTLED,
    ),
    "steps": (
        *("pipeline.steps", "pipeline.modeling", "pipeline.engine", "pipeline.statistics"),
        *("pipeline.pages", "pipeline.adapters", "pipeline.config", "pipeline.http"),
        *("pipeline.artifacts", "pipeline.contract"),
        *SETTLED,
    ),
    "sample": ("pipeline.sample",),
    "entrypoints": ("pipeline",),
    "cli": ("pipeline",),
    "demo": ("pipeline",),
    # Its health check uses the store as everything else does.
    "embedded": ("pipeline.embedded", "pipeline.adapters.storage", "pipeline.http", *SETTLED),
    "doctor": (
        *("pipeline.doctor", "pipeline.embedded", "pipeline.adapters", "pipeline.http"),
        *("pipeline.config", "pipeline.artifacts", "pipeline.dag_ids", *SETTLED),
    ),
    "__init__": (),
    "__main__": ("pipeline.cli",),
}
"""Room of `pipeline` to the modules of this project that it may import."""
CONTRACT_LIBRARIES = {"numpy", "PIL", "scipy", "pydantic"}


@pytest.mark.parametrize("room", sorted({name.split(".")[1] for name, _ in modules("pipeline")}))
def test_imports_run_one_way(room: str) -> None:
    """From cli and DAGs to entry points, steps, adapters, artefacts and contract."""
    broken = {
        f"{name} imports {other}"
        for name, path in modules("pipeline")
        if name.split(".")[1] == room
        for other in ours(imported(path))
        if not within(other, ALLOWED[room])
    }
    assert not broken


PHASES = {
    "dataset": (),
    "cells": ("dataset",),
    "training": ("dataset", "cells"),
    "export": (),
    "evaluation": ("dataset",),
    "promotion": ("evaluation",),
    "deployment": (),
    "labels": ("dataset",),
    "inspection": ("dataset", "cells"),
    "experiments": ("dataset", "cells", "training", "export", "evaluation", "promotion"),
}
"""Room of `pipeline/steps` to the other rooms there that it may import."""
LAYERS = {
    "bento_service": {
        "metrics": (),
        "http": ("metrics",),
        "process": ("metrics",),
        "inference": ("http", "process", "metrics"),
        "prediction_log": ("inference", "process", "metrics"),
        "worker_state": ("http", "inference", "prediction_log", "process", "metrics"),
        "service": ("http", "process", "worker_state"),
        "worker": ("http", "service", "worker_state"),
    },
    "monitoring": {
        "config": (),
        "windows": ("config",),
        "drift": ("config", "windows"),
        "retraining": ("config", "drift"),
        "reports": (),
        "entrypoints": ("config", "windows", "drift", "retraining"),
        "command": ("config", "entrypoints"),
    },
    "pipeline.steps": PHASES,
}
"""Package to its rooms, each with the other rooms of the package that it may import."""
TYPES_ONLY = {("bento_service.http.routes", "bento_service.worker_state")}
"""The routes are given the object that serves; they import its class for the type checker alone."""


@pytest.mark.parametrize("package", LAYERS)
def test_rooms_of_a_package_form_layers(package: str) -> None:
    """A room imports only those below it, so no circle of folders can arise."""
    layers = LAYERS[package]
    own = {
        (name, room, other, other.removeprefix(f"{package}.").split(".")[0])
        for name, path in modules(package.replace(".", "/"))
        for room in [name.removeprefix(f"{package}.").split(".")[0]]
        for other in imported(path)
        if within(other, (package,)) and other != package
    }
    assert {room for _, room, _, _ in own} <= set(layers)
    broken = {
        f"{name} imports {other}"
        for name, room, other, below in own
        if below not in (room, *layers[room]) and (name, other) not in TYPES_ONLY
    }
    assert not broken


def test_the_architecture_page_shows_these_rules() -> None:
    """The table of rooms lists exactly the allowed imports."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `pipeline/(\w+)/` \|.*\| (.*) \|$", page, re.M)
    rooms = {name for name, rule in ALLOWED.items() if (ROOT / "pipeline" / name).is_dir()}
    assert {room for room, _ in rows} == rooms
    for room, shown in rows:
        everything = ALLOWED[room] == ("pipeline",)
        own = {f"pipeline.{room}", *SETTLED}
        allowed = {name.removeprefix("pipeline.") for name in {*ALLOWED[room]} - own}
        assert set(re.findall(r"`([\w.]+)`", shown)) == ({"pipeline"} if everything else allowed), (
            room
        )


def test_the_pipeline_imports_none_of_its_callers() -> None:
    """`pipeline` works without service, monitoring and DAGs."""
    broken = {
        f"{name} imports {other}"
        for name, path in modules("pipeline")
        for other in imported(path)
        if within(other, ("bento_service", "monitoring", "dags", "benchmarks"))
    }
    assert not broken


@pytest.mark.parametrize("package", ["bento_service", "monitoring"])
def test_service_and_monitoring_do_not_import_each_other(package: str) -> None:
    """They exchange data through S3."""
    broken = {
        f"{name} imports {other}"
        for name, path in modules(package)
        for other in ours(imported(path))
        if not within(other, (package, "pipeline"))
    }
    assert not broken


def test_a_dag_file_imports_entry_points_only() -> None:
    """And errors and DAG ids."""
    allowed = (
        "pipeline.entrypoints",
        "pipeline.errors",
        "pipeline.dag_ids",
        "monitoring.entrypoints",
    )
    named = {
        other
        for path in sorted((ROOT / "dags").glob("*.py"))
        for other in ours(imported(path)) - {"pipeline", "monitoring"}
    }
    assert named
    assert all(within(other, allowed) for other in named), named


def test_the_contract_needs_four_libraries() -> None:
    """So that any serving environment can include it."""
    used = {
        other.split(".")[0]
        for name, path in modules("pipeline")
        if name.startswith("pipeline.contract")
        for other in imported(path)
    }
    assert used - set(sys.stdlib_module_names) - {"pipeline"} <= CONTRACT_LIBRARIES


def test_evidently_is_imported_in_one_module() -> None:
    """An upgrade of it concerns one file."""
    users = {
        name
        for package in PACKAGES
        for name, path in modules(package)
        if any(within(other, ("evidently",)) for other in imported(path))
    }
    assert users == {"monitoring.drift.detect"}
