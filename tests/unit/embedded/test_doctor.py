"""What the doctor says of a machine."""

from pathlib import Path

import pytest

from pipeline.embedded.doctor import Finding, examine, table
from pipeline.settings import Settings


@pytest.mark.enable_socket
def test_a_machine_without_weights_is_still_fit(tmp_path: Path) -> None:
    """Weights not brought yet are worth a line, but nothing that is needed."""
    findings = {one.name: one for one in examine(Settings(leukoflow_home=tmp_path / "none"))}
    assert not findings["weights"].good
    assert not findings["weights"].needed
    assert findings["Python"].good
    assert not (tmp_path / "none").exists()


def test_the_table_marks_what_is_missing() -> None:
    """Something needed that is not there reads `missing`, something optional `optional`."""
    shown = table(
        [
            Finding(name="disk", found="none", good=False),
            Finding(name="builder", found="none", good=False, needed=False),
        ]
    )
    assert list(shown.columns[2].cells) == ["missing", "optional"]
