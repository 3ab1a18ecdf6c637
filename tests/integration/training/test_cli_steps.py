"""All steps in order on the command line; each takes the URI that the previous one printed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.sample.archive import write_archive
from tests.integration.training.trained import write_config, write_weights

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def step(
    run_command: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., str]:
    """A function that runs a command with a 32-pixel config and returns the printed URI."""
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STORE_URI", str(tmp_path / "store"))
    monkeypatch.setenv("WEIGHTS_URI", write_weights(tmp_path / "weights"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    write_config(tmp_path / "tiny.yaml")

    def run(*words: str) -> str:
        code = run_command(*words, "--config", str(tmp_path / "tiny.yaml"))
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return next(word for word in printed.out.splitlines() if "://" in word or "/" in word)

    return run


def test_every_step_takes_the_uri_of_the_previous_one(
    step: Callable[..., str], tmp_path: Path
) -> None:
    """From an archive to a promoted model, without Airflow and MLflow."""
    write_archive(tmp_path / "drawn.zip", seed=3, cells_per_class=8, copies=3)
    parts = step("split", step("group", step("validate", step("ingest", f"{tmp_path}/drawn.zip"))))
    features = [step("featurize", parts, shard) for shard in ("0", "1")]
    bundle = step("train", parts, *features)
    served = step("export", bundle, parts)
    evaluation = step("evaluate", served, bundle, parts)
    verdict = step("gate", evaluation, served)
    assert step("promote", verdict, "--untracked") == served


def test_a_step_with_an_archive_is_rejected(
    run_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """`group` and `evaluate` take URIs or an archive; the error names the alternatives."""
    for words in (("group",), ("group", "uri", "--archive", "x.zip"), ("evaluate", "one", "two")):
        assert run_command(*words) == 2
        error = capsys.readouterr().err
        assert "give exactly one" in error or "three URIs" in error
