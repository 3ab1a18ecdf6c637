"""Disk space of the service's environment, installed from the lock."""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Row, single_row
from pipeline.adapters.requirements import export_requirements

_N_LARGEST = 4
_LAYOUT = "lib/python{}.{}/site-packages"


def rows() -> list[Row]:
    """Megabytes of an environment with the `serve` extra, and its largest packages."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "requirements.txt").write_text(export_requirements(["serve"]))
        python = folder / "env" / "bin" / "python"
        uv = str(Path(sys.executable).parent / "uv")
        _run(uv, "venv", "--quiet", "--python", sys.executable, str(folder / "env"))
        _run(uv, "pip", "sync", "--quiet", "--link-mode=copy", "--python", str(python),
             str(folder / "requirements.txt"))  # fmt: skip
        site = folder / "env" / _LAYOUT.format(*sys.version_info[:2])
        sizes = {entry.name: _megabytes(entry) for entry in site.iterdir()}
        total = _megabytes(folder / "env")
    largest = sorted(sizes, key=lambda entry: -sizes[entry])[:_N_LARGEST]
    packages = ", ".join(f"{entry} {sizes[entry]:.0f}" for entry in largest)
    name = "installed environment of the service"
    return [single_row(name, total, "MB", f"of which {packages}")]


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _megabytes(path: Path) -> float:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(f.stat().st_size for f in files if f.is_file() and not f.is_symlink()) / 1e6
