"""The lock, its export, and its part for an extra."""

import re
import subprocess

import pytest
from uv import find_uv_bin

from pipeline.adapters.requirements import ROOT, export_requirements
from pipeline.errors import InvalidInputError

OFFLINE = ["--offline", "--no-cache", "--quiet", "--project", str(ROOT)]


def uv(*command: str) -> str:
    return subprocess.run(
        [find_uv_bin(), *command, *OFFLINE], capture_output=True, text=True, check=True
    ).stdout


def pins(requirements: str) -> set[str]:
    """Versions and hashes; a marker says why a package came along, which depends on the extras."""
    return set(re.findall(r"^[a-z0-9._-]+==\S+|--hash=\S+", requirements, re.MULTILINE))


def test_the_lock_fits_the_project() -> None:
    """A dependency that was added to pyproject.toml without `uv lock` is found here."""
    uv("lock", "--check")


def test_requirements_txt_is_the_export_of_the_lock() -> None:
    """What `make env` installs is what `uv.lock` says, with every extra."""
    exported = uv("export", "--frozen", "--all-extras", "--no-emit-project", "--no-header")
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == exported.splitlines()


def test_the_lock_names_the_public_index() -> None:
    """No address of a private mirror is recorded, and every file has a hash."""
    text = (ROOT / "uv.lock").read_text()
    assert set(re.findall(r'registry = "([^"]+)"', text)) == {"https://pypi.org/simple"}
    addresses = re.findall(r'url = "(https?://[^/"]+)[^}]*hash = "sha256:', text)
    assert set(addresses) == {"https://files.pythonhosted.org"}
    assert len(addresses) == text.count("url = ")


def test_the_service_gets_no_training_stack() -> None:
    """The serve extra has BentoML, OpenVINO and Uvicorn's parser, neither Keras nor Airflow."""
    lines = export_requirements(["serve"])
    names = set(re.findall(r"^([a-z0-9._-]+)==", lines, re.MULTILINE))
    assert {"bentoml", "openvino", "boto3", "pydantic", "httptools", "uvloop"} <= names
    assert not names & {"keras", "tensorflow", "mlflow", "apache-airflow-core", "evidently"}
    assert pins(lines) <= pins((ROOT / "requirements.txt").read_text())


def test_an_unknown_extra_is_named() -> None:
    """With what uv says about it."""
    with pytest.raises(InvalidInputError, match=r"requirements of spoon; .*`spoon` is not defined"):
        export_requirements(["spoon"])
