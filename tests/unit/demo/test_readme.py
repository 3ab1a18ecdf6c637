"""The demo's table in the README has the texts that the code prints."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from monitoring.drift.messages import NO_DRIFT
from pipeline.demo import summary
from pipeline.demo.traffic import Traffic, shifted_title
from pipeline.demo.unseen_images import UnseenImages
from pipeline.records import Record

README = (Path(__file__).resolve().parents[3] / "README.md").read_text()
LABEL = "LYMPHOCYTE"
DRIFTED = "embedding 2.5 contrast 2.4 blue 2.1 cell_blue 1.9 cell_side 1.8 cell_red 1.1".split()


def _readme_rows() -> dict[str, str]:
    """Text of each row by its title; wrapped lines are joined."""
    rows: dict[str, str] = {}
    title = ""
    for name, text in re.findall(r"^│ (.{14}) │ (.*?) *│$", README, re.M):
        title = name.strip() or title
        rows[title] = f"{rows[title]} {text}" if title in rows else text
    return rows


def _drift(verdict: str, *reasons: str) -> dict[str, Any]:
    return {"verdict": verdict, "n": 48, "reasons": reasons}


def test_the_readme_has_the_rows_that_the_code_prints() -> None:
    """With the README's numbers; rows that are only an address or a tag are left out."""
    interval = {"value": 1.0, "low": 0.699, "high": 1.0}
    scores = {"balanced_accuracy": interval, "images": 64, "cells": 16}
    dataset, cells = {"images": 352, "quarantined": 0}, {"cells": 88, "groups": 88}
    predictions = [
        {"label": LABEL, "probabilities": {LABEL: 1.0}, "decision": decision}
        for decision in ["accept"] * 62 + ["review"] * 2
    ]
    now = datetime.now(UTC)
    records = [
        Record(sha256="", label="", file="", archive="", group="", cell=str(n % 12))
        for n in range(48)
    ]
    pairs = zip(DRIFTED[::2], DRIFTED[1::2], strict=True)
    alarms = [f"{name}: {ratio}x the alarm threshold" for name, ratio in pairs]
    rows = [
        *summary.data_rows({"duplicates": 0}, dataset, cells),
        *summary.reuse_rows(False, 0, 240),
        *summary.score_rows({"scores": {**scores, "by_cell": {"balanced_accuracy": interval}}}),
        *summary.served_rows(Traffic(now, now, [LABEL] * 64, predictions)),
        *summary.drift_rows(
            "null window", str(UnseenImages(records, [])), _drift("quiet", NO_DRIFT)
        ),
        *summary.drift_rows("shifted window", shifted_title(48, True), _drift("alarm", *alarms)),
    ]
    assert len(rows) == 7
    assert dict(rows).items() <= _readme_rows().items()
