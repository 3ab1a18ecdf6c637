"""Checks of configs, MODEL_NAME and API keys."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.doctor import configuration
from pipeline.doctor.finding import Subject

Examined = Callable[..., Subject]
CONFIG = "{{contract: {{name: {name}, classes: [ROUND, LOBED]}}}}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with `configs/cells.yaml`; returns `configs`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/cells.yaml").write_text(CONFIG.format(name="cells"))
    return tmp_path / "configs"


def test_a_model_name_with_its_config_is_ok(examined: Examined, folder: Path) -> None:
    """And every config can be read."""
    subject = examined(MODEL_NAME="cells")
    states = [
        f.state for check in (configuration.model, configuration.configs) for f in check(subject)
    ]
    assert states == ["ok", "ok"]


def test_a_wrong_model_name_is_a_problem(examined: Examined, folder: Path) -> None:
    """The known names are listed."""
    (model,) = configuration.model(examined(MODEL_NAME="cell"))
    assert model.exit_code == 2
    assert "one of cells" in model.action


def test_a_config_of_another_model_is_a_problem(examined: Examined, folder: Path) -> None:
    """File and contract disagree on the name."""
    (folder / "other.yaml").write_text(CONFIG.format(name="cells"))
    (model,) = configuration.model(examined(MODEL_NAME="other"))
    assert "contract.name" in model.value


@pytest.mark.parametrize("content", [b"contract: [", b"\xff\xfe", b"nothing: 1"])
def test_an_unreadable_config_is_a_problem(
    examined: Examined, folder: Path, content: bytes
) -> None:
    """The file is named, whatever is wrong with it; the others are still read."""
    (folder / "bad.yaml").write_bytes(content)
    (bad,) = configuration.configs(examined(MODEL_NAME="cells"))
    assert "bad.yaml" in bad.value
    assert bad.exit_code == 2


def test_a_key_file_that_cannot_be_read_is_a_problem(examined: Examined, tmp_path: Path) -> None:
    """Damaged, or named and missing; without a file no key is required."""
    assert [f.state for f in configuration.api_keys(examined())] == ["note"]
    path = tmp_path / "keys.json"
    for _ in ("missing", "damaged"):
        (keys,) = configuration.api_keys(examined(API_KEYS_FILE=str(path)))
        assert keys.exit_code == 2
        path.write_text("damaged")


@pytest.mark.parametrize(
    "address", ["127.0.0.1:5000", "http://", "http://[::1", "http://host:99999", "host"]
)
@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL_S3", "AIRFLOW_URL"])
def test_an_address_that_is_no_url_is_a_problem(
    examined: Examined, variable: str, address: str
) -> None:
    """The variable is named, with the expected form."""
    (finding,) = configuration.addresses(examined(**{variable: address}))
    assert finding.action == f"{variable}=http://host:port"
    assert finding.exit_code == 2


def test_mlflow_may_be_a_database(examined: Examined) -> None:
    """As for its own client."""
    assert list(configuration.addresses(examined(MLFLOW_TRACKING_URI="sqlite:///m.db"))) == []
