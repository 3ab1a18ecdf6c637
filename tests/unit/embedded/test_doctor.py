"""Checks of the machine."""

from pathlib import Path

import pytest

from pipeline.embedded.doctor import Check, run_checks, table
from pipeline.settings import Settings


@pytest.mark.enable_socket
def test_missing_weights_are_optional(tmp_path: Path) -> None:
    """Missing weights are reported, but not as a failed required check."""
    checks = {check.name: check for check in run_checks(Settings(leukoflow_home=tmp_path / "none"))}
    assert not checks["weights"].passed
    assert not checks["weights"].required
    assert checks["Python"].passed
    assert not (tmp_path / "none").exists()


def test_the_table_tells_missing_from_optional() -> None:
    """A failed required check reads `missing`, a failed optional one `optional`."""
    rendered = table(
        [
            Check(name="disk", value="none", passed=False),
            Check(name="builder", value="none", passed=False, required=False),
        ]
    )
    assert list(rendered.columns[2].cells) == ["missing", "optional"]
