"""Archives come, are replaced, leave and return: what was locked stays locked, and nothing crashes."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.config import DataGateConfig, RunConfig
from pipeline.records import Record
from pipeline.run import RunContext
from pipeline.sample.archive import draw_images
from pipeline.sample.laboratory import HOME
from pipeline.steps.data_gate import data_gate
from pipeline.steps.group import group
from pipeline.steps.ingest import ingest
from pipeline.steps.lock import extend_lock, read_lock
from pipeline.steps.split import split
from pipeline.steps.validate import validate
from tests.unit.steps.test_data_gate import _copy


def test_x(write_zip, config, store, run) -> None:
    drawn = [d for _, d in draw_images(4, 24, HOME)]

    def zipped(name, lo, hi, copies):
        m = {f"{('ROUND', 'LOBED')[n % 2]}/{n}.jpeg": drawn[n] for n in range(lo, hi)}
        if copies:
            m |= {f"{('ROUND', 'LOBED')[n % 2]}/{n}m.png": _copy(drawn[n]) for n in range(lo, hi)}
        return write_zip(name, m)

    for a in (zipped("a.zip", 0, 12, True), zipped("b.zip", 12, 24, False)):
        s = ingest([a], config, store=store, run=run)
        g = group(validate(s, config, store=store, run=run), config, store=store, run=run)
        split(data_gate(g, config, store=store, run=run), config, store=store, run=run)
