"""Environment of the Procfile's processes."""

import re
from pathlib import Path

import pytest

from pipeline.embedded import credentials, environment, seaweedfs_access
from pipeline.embedded.parts import commands
from pipeline.settings import Settings
from pipeline.telemetry import TELEMETRY_OFF


def test_every_variable_of_the_procfile_is_set(tmp_path: Path) -> None:
    """No line of the Procfile uses an unset variable."""
    variables = environment.stack_variables(
        credentials.prepare(Settings(leukoflow_home=tmp_path)), {}
    )
    for line in commands().values():
        for name in re.findall(r"\$(\w+)", line):
            assert variables[name], name


def test_mlflow_gets_no_key_but_its_own(tmp_path: Path) -> None:
    """MLflow answers without a password, so it does not get the stack's key; other parts do."""
    settings = credentials.prepare(Settings(leukoflow_home=tmp_path))
    variables = environment.stack_variables(settings, {})
    secret = settings.aws_secret_access_key.get_secret_value()
    own = environment.part_variables(variables, "mlflow")
    (identity,) = [
        one
        for one in seaweedfs_access.identities(settings)["identities"]
        if one["credentials"][0]["accessKey"] == own["AWS_ACCESS_KEY_ID"]
    ]
    assert identity["credentials"][0]["secretKey"] == own["AWS_SECRET_ACCESS_KEY"]
    assert {verb.partition(":")[2] for verb in identity["actions"]} == {"leukoflow/mlflow/*"}
    assert secret not in own.values()
    assert environment.part_variables(variables, "service")["AWS_SECRET_ACCESS_KEY"] == secret


def test_paths_are_absolute(tmp_path: Path) -> None:
    """Home and import path are absolute, because tasks run in other folders."""
    settings = credentials.prepare(Settings(leukoflow_home=tmp_path))
    variables = environment.stack_variables(settings, {"PYTHONPATH": "mine"})
    assert Path(variables["LEUKOFLOW_HOME"]).is_absolute()
    root, mine = variables["PYTHONPATH"].split(":")
    assert (Path(root) / "pipeline").is_dir()
    assert mine == "mine"


def test_aws_session_of_the_caller_is_not_inherited(tmp_path: Path) -> None:
    """The caller's AWS session must not be mixed with the generated keys."""
    settings = credentials.prepare(Settings(leukoflow_home=tmp_path))
    variables = environment.stack_variables(
        settings, {"AWS_SESSION_TOKEN": "real", "AWS_PROFILE": "work"}
    )
    assert "real" not in variables.values()
    assert "AWS_PROFILE" not in variables


def test_telemetry_is_off(tmp_path: Path) -> None:
    """The switches of every library are set, even if the caller sets them otherwise."""
    settings = credentials.prepare(Settings(leukoflow_home=tmp_path))
    variables = environment.stack_variables(settings, {"DO_NOT_TRACK": "false"})
    assert TELEMETRY_OFF.items() <= variables.items()
    assert "-master.telemetry=false" in commands()["s3"]


def test_bucket_is_that_of_the_store() -> None:
    """SeaweedFS creates the bucket that the pipeline writes to."""
    assert seaweedfs_access.bucket(Settings(store_uri="s3://cells/prefix")) == "cells"
    assert seaweedfs_access.bucket(Settings(store_uri="/tmp/store")) == "leukoflow"  # noqa: S108


@pytest.mark.field("socks_proxy")
def test_parts_request_loopback_directly(tmp_path: Path) -> None:
    """And get no SOCKS proxy, with which Airflow's HTTP client would fail for every address."""
    settings = credentials.prepare(Settings(leukoflow_home=tmp_path))
    proxies = {"ALL_PROXY": "socks5://a:1", "HTTPS_PROXY": "http://a:2", "no_proxy": "lab"}
    variables = environment.stack_variables(settings, proxies)
    assert "ALL_PROXY" not in variables
    assert variables["HTTPS_PROXY"] == "http://a:2"
    assert variables["NO_PROXY"] == variables["no_proxy"] == "127.0.0.1,localhost,::1,lab"
