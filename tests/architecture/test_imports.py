"""The import rules of docs/architecture.md."""

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipeline", "bento_service", "monitoring")
SETTLED = tuple(
    f"pipeline.{name}" for name in ("digests", "errors", "records", "run", "settings", "telemetry")
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
    "run": (),
    "settings": ("pipeline.errors",),
    "telemetry": (),
    "version": (),
    "adapters": ("pipeline.adapters", "pipeline.artifacts", "pipeline.contract", *SETTLED),
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
        *("pipeline.pages", "pipeline.adapters", "pipeline.config"),
        *("pipeline.artifacts", "pipeline.contract"),
        *SETTLED,
    ),
    "sample": ("pipeline.sample",),
    "entrypoints": ("pipeline",),
    "cli": ("pipeline",),
    "demo": ("pipeline",),
    # Its health check and doctor use the store as everything else does.
    "embedded": ("pipeline.embedded", "pipeline.adapters.storage", *SETTLED),
    "__init__": (),
    "__main__": ("pipeline.cli",),
}
"""Room of `pipeline` to the modules of this project that it may import."""
CONTRACT_LIBRARIES = {"numpy", "PIL", "scipy", "pydantic"}


def modules(package: str) -> Iterator[tuple[str, Path]]:
    """Dotted name and file of every module below a package."""
    for path in sorted((ROOT / package).rglob("*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts), path


def imported(path: Path) -> set[str]:
    """All imports of a file: at the top, inside functions and for type checking."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from pipeline.adapters import requirements` imports a module, other lines a name.
            source = ROOT.joinpath(*node.module.split("."))
            for alias in node.names:
                below = (source / alias.name).is_dir() or (source / f"{alias.name}.py").is_file()
                names.add(f"{node.module}.{alias.name}" if below else node.module)
    return names


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in (*PACKAGES, "dags", "benchmarks")}


def within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in allowed)


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
        "serving": ("http", "inference", "prediction_log", "process", "metrics"),
        "service": ("http", "process", "serving"),
        "worker": ("http", "service", "serving"),
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
TYPES_ONLY = {("bento_service.http.routes", "bento_service.serving")}
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


def fresh(code: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter; home and working folder are one empty folder."""
    return subprocess.run(
        [sys.executable, "-B", "-c", code, *words],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            # What Keras and matplotlib leave in a home is theirs.
            "KERAS_HOME": str(folder.parent),
            "MPLCONFIGDIR": str(folder.parent),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_contract_loads_neither_keras_nor_boto3(tmp_path: Path) -> None:
    """A client that only prepares images starts fast."""
    names = [name for name, _ in modules("pipeline") if name.startswith("pipeline.contract")]
    done = fresh(
        "import importlib, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "print(*{'keras', 'tensorflow', 'boto3', 'bentoml', 'mlflow'} & set(sys.modules))",
        tmp_path,
        *(name.removesuffix(".__init__") for name in names),
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("bento_service.__main__", ("bentoml", "uvicorn", "numpy", "boto3", "openvino")),
        ("bento_service.service", ("numpy", "scipy", "PIL", "boto3", "openvino")),
    ],
    ids=["ours", "bentoml serve"],
)
def test_a_supervisor_loads_no_model(module: str, heavy: tuple[str, ...], tmp_path: Path) -> None:
    """Only the worker loads it; our supervisor does not load BentoML either."""
    done = fresh(
        "import importlib, sys\n"
        "importlib.import_module(sys.argv[1])\n"
        "print(*set(sys.argv[2:]) & set(sys.modules))",
        tmp_path,
        module,
        *heavy,
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


CHANGES_ENVIRONMENT = {"update", "setdefault", "pop", "popitem", "clear", "putenv", "unsetenv"}


def environment_writes(source: str) -> set[str]:
    """The statements of a module that change `os.environ`."""
    written = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Subscript(value=target, ctx=ast.Store() | ast.Del()):
                pass
            case ast.AugAssign(target=target):
                pass
            case ast.Call(func=ast.Attribute(value=target, attr=attr)) if (
                attr in CHANGES_ENVIRONMENT
            ):
                pass
            case _:
                continue
        if ast.unparse(target) in ("os.environ", "environ", "os"):
            written.add(ast.unparse(node))
    return written


@pytest.mark.parametrize(
    "source",
    [
        'os.environ["A"] = "1"',
        'del os.environ["A"]',
        'os.environ |= {"A": "1"}',
        'os.environ.setdefault("A", "1")',
        'from os import environ; environ.pop("A")',
        'os.putenv("A", "1")',
    ],
)
def test_a_write_of_the_environment_is_found(source: str) -> None:
    """And reading, or extending a copy, is none."""
    assert environment_writes(source)
    assert not environment_writes('{**os.environ, "A": "1"}; os.environ["A"]; os.environ | {}')


def test_one_function_writes_the_environment() -> None:
    """A child process gets a mapping; what a library reads here is set before it is imported."""
    folders = (*PACKAGES, "dags", "benchmarks", "docker")
    written = {name for folder in folders for name, path in modules(folder)
               if environment_writes(path.read_text())}  # fmt: skip
    assert written == {"pipeline.telemetry"}


def test_the_service_switches_telemetry_off(tmp_path: Path) -> None:
    """Before OpenVINO is imported, which starts a reporting process."""
    done = fresh(
        "import os, bento_service\n"
        "from pipeline.telemetry import TELEMETRY_OFF\n"
        "print(TELEMETRY_OFF.items() - os.environ.items())",
        tmp_path,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "set()"), done.stderr


WATCHED = """
import importlib, logging, sys
ASKED = ("socket.connect", "socket.getaddrinfo", "socket.sendto")
seen = []
sys.addaudithook(lambda event, args: seen.append((event, args)) if event in ASKED else None)
before = logging.getLogger().handlers[:]
for name in sys.argv[1:]:
    importlib.import_module(name)
    for event, args in seen:
        print(name, event, args[-1])
    seen.clear()
    if logging.getLogger().handlers != before:
        print(name, "set up logging")
        before = logging.getLogger().handlers[:]
"""
RUN_AS_MAIN = ("__main__", "pipeline.adapters.bento_model")


@pytest.mark.slow
def test_importing_a_module_does_nothing(tmp_path: Path) -> None:
    """No module opens a file or a connection or configures logging."""
    home = tmp_path / "home"
    home.mkdir()
    names = [
        name.removesuffix(".__init__")
        for package in PACKAGES
        for name, _ in modules(package)
        if not name.endswith(RUN_AS_MAIN)
    ]
    done = fresh(WATCHED, home, *names)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert [str(path.relative_to(home)) for path in home.rglob("*")] == []


SOURCES = ("pipeline", "bento_service", "monitoring", "benchmarks", "dags")
MAX_MODULES = 12


def test_no_folder_has_more_than_a_dozen_modules() -> None:
    """A folder is read at a glance; one that grows beyond is divided."""
    counts = Counter(
        str(path.parent.relative_to(ROOT))
        for package in (*SOURCES, "tests")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    )
    assert {folder: count for folder, count in counts.items() if count > MAX_MODULES} == {}


def test_every_room_says_what_it_owns() -> None:
    """Its `__init__.py` has a docstring."""
    rooms = [path for package in PACKAGES for path in (ROOT / package).rglob("__init__.py")]
    silent = [path for path in rooms if not ast.get_docstring(ast.parse(path.read_text()))]
    assert rooms
    assert silent == []
