"""Entry points of the monitoring DAG, with a local store."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring import entrypoints
from monitoring.drift.drift_page import write_summary
from monitoring.drift.result import DriftResult
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import WindowManifest
from pipeline.errors import InvalidInputError
from pipeline.steps.labels.gather import ReturnedLabels
from tests.unit.monitoring.fake_log import HOUR, FakeLog
from tests.unit.monitoring.fake_predictions import START

CONFIG = "configs/monitoring.yaml"


def test_gather_returns_the_uri_of_the_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counts are on the report site, also if no label was returned."""
    monkeypatch.setenv("STORE_URI", str(tmp_path / "store"))
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path / "home"))
    uri = entrypoints.gather(CONFIG, "test", "cells")
    assert uri == f"{tmp_path}/store/reports/cells/returned.json"
    assert ReturnedLabels.model_validate_json(LocalStore().read(uri)).labels == 0


offsets = st.timedeltas(timedelta(hours=-12), timedelta(hours=14)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 47), offsets, offsets)
def test_a_window_is_the_same_in_every_offset(hour: int, begin: timezone, end: timezone) -> None:
    """Equal times with different UTC offsets give the same window, stored in UTC."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORE_URI", folder)
        patch.setenv("LEUKOFLOW_HOME", f"{folder}/home")
        log = FakeLog(Path(folder))
        since, until = START + hour * HOUR, START + (hour + 1) * HOUR
        log.segment("w1-1", log.records(3, since))
        log.segment("w1-2", log.records(4, until))
        uris = [
            entrypoints.collect(CONFIG, "r", "demo", last, first)
            for first, last in (
                (since.astimezone(begin).isoformat(), until.astimezone(end).isoformat()),
                (f"{since:%Y-%m-%dT%H:%M}", f"{until:%Y-%m-%dT%H:%M}"),
            )
        ]
        assert uris[0] == uris[1]
        window = log.store.open(uris[0], WindowManifest)
        assert log.count(window) == 3
        stored = json.loads(log.store.objects.read(f"{window.uri}/manifest.json"))
        assert (stored["start"], stored["end"]) == (f"{since:%FT%TZ}", f"{until:%FT%TZ}")


def test_an_invalid_time_is_refused() -> None:
    """The error names the value, before any access to the store."""
    with pytest.raises(InvalidInputError, match="invalid time; expected ISO 8601; received noon"):
        entrypoints.collect(CONFIG, "r", "demo", "noon")


def test_the_page_shows_the_window_in_utc(tmp_path: Path) -> None:
    """Offsets in the manifest of an earlier version are converted."""
    pacific = timezone(timedelta(hours=-8))
    window = WindowManifest(
        name="demo", run_id="r", code_version="c", created_at=START,
        start=datetime(2026, 11, 20, 17, 30, tzinfo=pacific),
        end=datetime(2026, 11, 20, 18, 30, tzinfo=pacific),
    )  # fmt: skip
    result = DriftResult(
        verdict="not_enough", alarm=False, reasons=("too few",), n=0, distinct=0,
        reference_images=1, reference_groups=1, alpha=0.01, draws=100,
    )  # fmt: skip
    write_summary(result, window, tmp_path, evidently=False)
    assert "21 Nov 2026 01:30 to 21 Nov 2026 02:30 UTC" in (tmp_path / "index.html").read_text()
