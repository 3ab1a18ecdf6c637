"""Serve check: load a bundle by the service's code, in a process of its own (decision 3)."""

import json
import subprocess
import sys
from pathlib import Path

from pipeline.records import Frozen

SERVE_CHECK_SECONDS = 180


class ServeCheck(Frozen):
    """Result of loading a bundle in the service's code."""

    ok: bool
    latency_ms: float = 0.0
    """Median over the golden images, one request at a time."""
    megabytes: float = 0.0
    """Size of the bundle's files in 10^6 bytes."""
    error: str = ""


def serve_check(folder: Path) -> ServeCheck:
    """Load a bundle by the service's code, in a subprocess; a failure is `ok=False` with a reason.

    It replays the golden images, and measures latency and size.
    """
    command = [sys.executable, "-m", "bento_service.inference.classifier", "check", str(folder)]
    try:
        process = subprocess.run(
            command, capture_output=True, text=True, timeout=SERVE_CHECK_SECONDS, check=False
        )
        result = json.loads(process.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return ServeCheck(ok=False, error=f"no result within {SERVE_CHECK_SECONDS} s")
    except (json.JSONDecodeError, IndexError):
        return ServeCheck(ok=False, error=process.stderr.strip()[-400:])
    if not result.get("ok"):
        return ServeCheck(ok=False, error=_reason(result.get("error", result)))
    return ServeCheck(
        ok=True, latency_ms=float(result["latency_ms"]), megabytes=float(result["bytes"]) / 1e6
    )


def _reason(error: dict[str, str]) -> str:
    details = [f"{word} {error[word]}" for word in ("expected", "received") if error.get(word)]
    return "; ".join([f"{error.get('message', error)}", *details])
