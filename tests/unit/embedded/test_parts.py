"""The list of parts agrees with the Procfile."""

from pathlib import Path

import pytest

from pipeline.embedded.parts import PARTS, PROCFILE, commands, parts, port
from pipeline.errors import InvalidInputError
from pipeline.settings import Settings


def test_procfile_starts_exactly_the_known_parts() -> None:
    """Every line of the Procfile has a part with its health check, and vice versa."""
    assert list(commands()) == [part.name for part in PARTS]


def test_every_line_stays_on_loopback() -> None:
    """A line that opens a port binds 127.0.0.1 and takes the port from a variable."""
    for name, line in commands().items():
        if "_PORT" in line:
            assert "127.0.0.1" in line, name
            assert "0.0.0.0" not in line, name  # noqa: S104
    assert "$S3_PORT" in commands(PROCFILE)["s3"]


def test_unknown_line_is_refused(tmp_path: Path) -> None:
    """A Procfile line without a health check is refused by name."""
    procfile = tmp_path / "Procfile"
    procfile.write_text("s3: weed\nredis: redis-server\n")
    with pytest.raises(InvalidInputError, match="received redis"):
        parts(procfile)


@pytest.mark.parametrize("address", ["https://mlflow.example.org:443", "http://127.0.0.1"])
def test_address_elsewhere_is_refused(address: str) -> None:
    """An address that is not on loopback is refused with the variable's name."""
    settings = Settings(mlflow_tracking_uri=address)
    with pytest.raises(InvalidInputError, match="MLFLOW_TRACKING_URI"):
        port(PARTS[1], settings)
