"""Whether a bundle serves: the real service code, in a process of its own (decision 3)."""

import json
import subprocess
import sys
from pathlib import Path

from pipeline.records import Frozen

SERVE_CHECK_SECONDS = 180


class ServeCheck(Frozen):
    """What the service's own code said of a bundle."""

    ok: bool
    latency_ms: float = 0.0
    """Median over its golden images, one at a time."""
    megabytes: float = 0.0
    """10^6 bytes of the bundle's files."""
    error: str = ""


def serve_check(folder: Path) -> ServeCheck:
    """Load a served bundle, replay its golden images, time them and weigh the files."""
    command = [sys.executable, "-m", "bento_service.inference.classifier", "check", str(folder)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SERVE_CHECK_SECONDS, check=False
        )
        said = json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return ServeCheck(ok=False, error=f"no answer within {SERVE_CHECK_SECONDS} s")
    except (json.JSONDecodeError, IndexError):
        return ServeCheck(ok=False, error=done.stderr.strip()[-400:])
    if not said.get("ok"):
        return ServeCheck(ok=False, error=_reason(said.get("error", said)))
    return ServeCheck(
        ok=True, latency_ms=float(said["latency_ms"]), megabytes=float(said["bytes"]) / 1e6
    )


def _reason(error: dict[str, str]) -> str:
    told = f"{error.get('message', error)}"
    for word in ("expected", "received"):
        if error.get(word):
            told += f"; {word} {error[word]}"
    return told
