"""Passwords are generated once, into a private file."""

import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.embedded import credentials
from pipeline.settings import STACK_ENV_FILE, Settings

_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AIRFLOW_PASSWORD", "TRAIN_API_KEY")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*_SECRETS, "AWS_ENDPOINT_URL_S3", "AIRFLOW_URL"):
        monkeypatch.delenv(name, raising=False)


def test_file_is_private(tmp_path: Path) -> None:
    """Only the owner may read stack.env."""
    credentials.prepare(Settings(leukoflow_home=tmp_path))
    assert stat.S_IMODE((tmp_path / STACK_ENV_FILE).stat().st_mode) == 0o600


def test_second_start_keeps_every_secret(tmp_path: Path) -> None:
    """Preparing twice gives the same settings and the same file."""
    first = credentials.prepare(Settings(leukoflow_home=tmp_path))
    text = (tmp_path / STACK_ENV_FILE).read_text()
    assert credentials.prepare(Settings(leukoflow_home=tmp_path)) == first
    assert (tmp_path / STACK_ENV_FILE).read_text() == text


def test_two_installations_share_no_secret(tmp_path: Path) -> None:
    """Every secret is random; there is no default password."""
    for name in ("a", "b"):
        credentials.prepare(Settings(leukoflow_home=tmp_path / name))
    one, other = credentials.read(tmp_path / "a"), credentials.read(tmp_path / "b")
    secret = [name for name in one if not name.endswith(("_URL", "_URI", "_URL_S3", "_NAME"))]
    assert len(secret) == 8
    assert all(len(one[name]) >= 20 and one[name] != other[name] for name in secret)


def test_settings_are_read_back_from_the_file(tmp_path: Path) -> None:
    """`prepare` returns the settings that pydantic-settings later reads from the file."""
    moved = Settings(leukoflow_home=tmp_path, airflow_url="http://127.0.0.1:9999")
    prepared = credentials.prepare(moved)
    found = Settings(leukoflow_home=tmp_path, _env_file=tmp_path / STACK_ENV_FILE)
    assert found == prepared
    assert found.airflow_url == "http://127.0.0.1:9999"


def test_aws_keys_of_the_caller_are_not_used(tmp_path: Path) -> None:
    """The embedded store has generated keys; the caller's are not written to its file."""
    settings = Settings(leukoflow_home=tmp_path, aws_access_key_id="AKIAREAL")
    prepared = credentials.prepare(settings)
    assert prepared.aws_access_key_id == credentials.read(tmp_path)["AWS_ACCESS_KEY_ID"]
    assert "AKIAREAL" not in (tmp_path / STACK_ENV_FILE).read_text()


def test_a_password_of_the_environment_wins_and_is_not_copied(tmp_path: Path) -> None:
    """Airflow's password may come from the environment; the file keeps the generated one."""
    settings = Settings(leukoflow_home=tmp_path, airflow_password=SecretStr("mine-for-now"))
    assert credentials.prepare(settings).airflow_password.get_secret_value() == "mine-for-now"
    assert "mine-for-now" not in (tmp_path / STACK_ENV_FILE).read_text()


def test_the_embedded_store_has_a_uri(tmp_path: Path) -> None:
    """`make up` sets the default; a requested URI is stored for later commands."""
    assert credentials.prepare(Settings(leukoflow_home=tmp_path)).store_uri == "s3://leukoflow"
    credentials.prepare(Settings(leukoflow_home=tmp_path, store_uri="s3://cells/a"))
    assert credentials.prepare(Settings(leukoflow_home=tmp_path)).store_uri == "s3://cells/a"
