"""The steps one after the other on the command line, each given what the one before printed."""

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
    """Run a command with a config of 32 pixels on a local store; its last line is a URI."""
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


def test_every_step_takes_what_the_one_before_printed(
    step: Callable[..., str], tmp_path: Path
) -> None:
    """From an archive to a model that serves, without Airflow and without MLflow."""
    write_archive(tmp_path / "drawn.zip", seed=3, cells_per_class=8, copies=3)
    parts = step("split", step("group", step("validate", step("ingest", f"{tmp_path}/drawn.zip"))))
    features = [step("featurize", parts, shard) for shard in ("0", "1")]
    bundle = step("train", parts, *features)
    served = step("export", bundle, parts)
    evaluation = step("evaluate", served, bundle, parts)
    verdict = step("gate", evaluation, served)
    assert step("promote", verdict, "--untracked") == served


def test_a_step_and_an_archive_at_once_are_refused(
    run_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """`group` and `evaluate` do either; the line says which alternatives there are."""
    for words in (("group",), ("group", "uri", "--archive", "x.zip"), ("evaluate", "one", "two")):
        assert run_command(*words) == 2
        assert "give exactly one" in (told := capsys.readouterr().err) or "three URIs" in told
