"""What importing a module does, in a new interpreter."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.architecture.source_tree import PACKAGES, ROOT, modules


def fresh(
    code: str, folder: Path, *words: str, sources: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter; home and working folder are one empty folder."""
    return subprocess.run(
        [sys.executable, "-B", "-c", code, *words],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(sources),
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


def test_a_bento_contains_what_it_imports(tmp_path: Path) -> None:
    """Every module in it can be imported where only the Bento and packages are installed."""
    bento, home = tmp_path / "bento", tmp_path / "home"
    home.mkdir()
    for name in yaml.safe_load((ROOT / "bentofile.yaml").read_text())["include"]:
        source, target = ROOT / name, bento / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    files = [path.relative_to(bento).with_suffix("") for path in sorted(bento.rglob("*.py"))]
    names = [".".join(path.parts).removesuffix(".__init__") for path in files]
    assert "bento_service.worker" in names
    done = fresh(
        "import importlib, sys\n"
        # The development environment finds our packages in the checkout as well.
        "sys.meta_path[:] = [one for one in sys.meta_path if 'editable' not in repr(one)]\n"
        "for name in sys.argv[1:]: importlib.import_module(name)",
        home,
        *names,
        sources=bento,
    )
    assert done.returncode == 0, done.stderr
