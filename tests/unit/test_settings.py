"""Settings from the environment and `stack.env`; `.env.example` lists every variable."""

import ast
import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.embedded import credentials, parts, ports
from pipeline.errors import InvalidInputError
from pipeline.settings import STACK_ENV_FILE, Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [ROOT / "tests/conftest.py"] + [
    path
    for folder in ("pipeline", "bento_service", "monitoring", "dags", "docker")
    for path in (ROOT / folder).rglob("*.py")
]
EXAMPLE = dict(re.findall(r"^#?([A-Z][A-Z0-9_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.M))
INTERNAL = {"LEUKOFLOW_STACK", "LEUKOFLOW_PART"}
"""Variables with which a stack marks its own processes."""


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without Leukoflow's variables, in an empty folder."""
    for name in EXAMPLE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def read_by_name(source: str) -> set[str]:
    """Variables that a module reads from os.environ by a literal name."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Attribute(attr="environ"), attr="get"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                names.add(name)
            case ast.Subscript(
                value=ast.Attribute(attr="environ"),
                slice=ast.Constant(value=str(name)),
                ctx=ast.Load(),
            ):
                names.add(name)
    return names


def known() -> set[str]:
    """Every variable the checkout reads: settings, code, generated secrets, Compose, Procfile."""
    settings = Settings()
    names = {name.upper() for name in Settings.model_fields}
    names |= set(credentials._generate_secrets())
    for part in parts.PARTS:
        local = settings.model_copy(update={"aws_endpoint_url_s3": "http://127.0.0.1:8333"})
        names |= ports.variables(part, local).keys()
    for path in SOURCES:
        names |= read_by_name(path.read_text())
    compose = (ROOT / "docker-compose.yml").read_text()
    names |= set(re.findall(r"(?<!\$)\$\{(\w+)", compose))
    names |= set(re.findall(r"\$([A-Z][A-Z0-9_]+)", (ROOT / "Procfile").read_text()))
    return names - INTERNAL


def test_the_example_names_every_variable_and_no_other() -> None:
    """Every variable that the code reads is listed, and every listed variable is read."""
    assert set(EXAMPLE) == known()


def test_the_example_shows_the_real_defaults() -> None:
    """A commented line shows the default."""
    shown = {name.lower(): value for name, value in EXAMPLE.items() if value}
    assert Settings.model_validate(shown) == Settings()


def test_the_example_holds_no_secret_and_sets_nothing() -> None:
    """An unchanged copy changes nothing, and every variable is explained."""
    secret = re.compile("PASSWORD|SECRET|ACCESS_KEY|API_KEY|FERNET|PASSPHRASE")
    assert not any(value for name, value in EXAMPLE.items() if secret.search(name))
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert all(line.startswith("#") for line in lines if line)


def test_the_environment_wins_over_the_generated_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A variable overrides the stack's file for one command."""
    home = tmp_path / "home"
    home.mkdir()
    (home / STACK_ENV_FILE).write_text("SERVICE_URL='http://file'\nAIRFLOW_URL='http://file'\n")
    monkeypatch.setenv("LEUKOFLOW_HOME", str(home))
    monkeypatch.setenv("SERVICE_URL", "http://environment")
    settings = load_settings()
    assert settings.leukoflow_home == home
    assert settings.service_url == "http://environment"
    assert settings.airflow_url == "http://file"
    assert settings.reports_url == Settings.model_fields["reports_url"].default


STACK = """STORE_URI='s3://leukoflow'
AWS_ENDPOINT_URL_S3='http://127.0.0.1:8333'
AWS_ACCESS_KEY_ID='generated'
AWS_SECRET_ACCESS_KEY='generated-secret'
"""


@pytest.mark.parametrize(
    ("environment", "endpoint", "uri", "key"),
    [
        ({}, "http://127.0.0.1:8333", "s3://leukoflow", "generated"),
        (
            {"STORE_URI": "s3://leukoflow/a"},
            "http://127.0.0.1:8333", "s3://leukoflow/a", "generated",
        ),
        ({"STORE_URI": "store"}, "http://127.0.0.1:8333", "store", "generated"),
        ({"STORE_URI": "s3://mine"}, "", "s3://mine", ""),
        ({"STORE_URI": "s3://mine", "AWS_ACCESS_KEY_ID": "AKIA"}, "", "s3://mine", ""),
        ({"AWS_ENDPOINT_URL_S3": "https://s3.eu"}, "https://s3.eu", "", ""),
        (
            {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:8333", "STORE_URI": "s3://mine"},
            "http://127.0.0.1:8333", "s3://mine", "",
        ),
    ],
)  # fmt: skip
def test_generated_keys_go_to_the_embedded_store_only(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    environment: dict[str, str],
    endpoint: str,
    uri: str,
    key: str,
) -> None:
    """For a store that the environment names, neither the stack's keys nor endpoint are used."""
    (tmp_path / STACK_ENV_FILE).write_text(STACK)
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.aws_endpoint_url_s3, settings.store_uri) == (endpoint, uri)
    assert settings.aws_access_key_id == key
    assert bool(settings.aws_secret_access_key.get_secret_value()) == bool(key)


def test_a_stack_of_an_earlier_version_keeps_its_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its file has no STORE_URI: the default bucket is used, or the environment's."""
    (tmp_path / STACK_ENV_FILE).write_text(STACK.partition("\n")[2])
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path))
    endpoint = load_settings().aws_endpoint_url_s3
    assert load_settings().store_uri == "s3://leukoflow"
    monkeypatch.setenv("STORE_URI", "s3://cells/x")
    settings = load_settings()
    assert (settings.store_uri, settings.aws_endpoint_url_s3) == ("s3://cells/x", endpoint)
    assert settings.aws_access_key_id


def test_without_a_stack_there_is_no_store() -> None:
    """There is no default bucket: on AWS it could belong to another account."""
    settings = load_settings()
    assert settings.store_uri == ""
    with pytest.raises(InvalidInputError, match="STORE_URI") as error:
        settings.require_store()
    assert error.value.exit_code == 2


def test_without_a_stack_there_are_defaults() -> None:
    """Without file and variables: loopback addresses, and no API key is accepted."""
    settings = load_settings()
    assert settings.service_url == "http://127.0.0.1:3000"
    assert settings.train_api_key == SecretStr("")
    assert settings.bento_home == Path(".leukoflow/bentoml")


def test_the_run_config_is_named_after_the_model() -> None:
    """One file in `configs/` per model."""
    assert Settings(model_name="demo").run_config == "configs/demo.yaml"


def test_secrets_do_not_print(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings may appear in a log or a traceback."""
    for name in ("AWS_SECRET_ACCESS_KEY", "AIRFLOW_PASSWORD", "TRAIN_API_KEY", "SERVICE_API_KEY"):
        monkeypatch.setenv(name, "opensesame")
    assert "opensesame" not in f"{load_settings()!r} {load_settings()}"


def test_an_invalid_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the allowed range and the value received."""
    monkeypatch.setenv("BODY_SECONDS", "900")
    with pytest.raises(InvalidInputError) as error:
        load_settings()
    assert error.value.message == "invalid value for BODY_SECONDS"
    assert error.value.expected == "Input should be less than or equal to 50"
    assert error.value.received == "900"


SECRETS = ("TRAIN_API_KEY", "SERVICE_API_KEY", "AIRFLOW_PASSWORD", "AWS_SECRET_ACCESS_KEY")


@pytest.mark.field("secret_line_end")
@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    "around",
    [("", "\n"), ("", "\r\n"), (" ", "\t "), ("\ufeff", ""), ("\ufeff ", "\n"), ("", "\xa0")],
)
def test_a_secret_is_stripped(
    monkeypatch: pytest.MonkeyPatch, name: str, around: tuple[str, str]
) -> None:
    """White space and a byte order mark, which files and Kubernetes secrets add."""
    monkeypatch.setenv(name, f"{around[0]}open sesame{around[1]}")
    secret = getattr(Settings(), name.lower())
    assert secret.get_secret_value() == "open sesame"


@pytest.mark.field("secret_line_end")
@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("value", ["open\nsesame", "a\x1bopen", '"open"', "'open'", "o\u200bpen"])
def test_a_secret_that_cannot_be_meant_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """A line end within it, an invisible character or quotes; the value is not repeated."""
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInputError, match=f"invalid value for {name}") as error:
        load_settings()
    assert "open" not in str(error.value)
    assert error.value.expected


@pytest.mark.parametrize("name", ["TRAIN_API_KEY", "SERVICE_API_KEY"])
def test_a_key_in_a_header_is_ascii(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A client could not send another one; a password in JSON may have any character."""
    monkeypatch.setenv("AIRFLOW_PASSWORD", "Schlüssel")
    assert load_settings().airflow_password.get_secret_value() == "Schlüssel"
    monkeypatch.setenv(name, "Schlüssel")
    with pytest.raises(InvalidInputError, match=name) as error:
        load_settings()
    assert "Schl" not in str(error.value)


def test_addresses_and_paths_are_stripped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every setting, not of secrets alone."""
    monkeypatch.setenv("SERVICE_URL", "http://host:3000\n")
    monkeypatch.setenv("API_KEYS_FILE", " /keys.json\n")
    monkeypatch.setenv("STORE_URI", "s3://cells \n")
    settings = load_settings()
    assert (settings.service_url, settings.store_uri) == ("http://host:3000", "s3://cells")
    assert settings.api_keys_file == Path("/keys.json")


@pytest.mark.field("secret_line_end")
@pytest.mark.parametrize(
    "name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
)
@pytest.mark.parametrize("value", ["AKIA\n", " AKIA", '"AKIA"', "\ufeffAKIA"])
def test_credentials_that_boto3_reads_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """It reads them itself, so they cannot be stripped; a store in a folder needs none."""
    monkeypatch.setenv("STORE_URI", "s3://cells")
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInputError, match=f"invalid value for {name}") as error:
        load_settings()
    assert "AKIA" not in str(error.value)
    monkeypatch.setenv("STORE_URI", "store")
    if name == "AWS_SESSION_TOKEN":
        assert load_settings().store_uri == "store"
