"""`leukoflow` in a process that is killed before it writes a manifest or the pointer.

Each process is forked from a server that has imported the training libraries once.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline import cli
from pipeline.adapters.storage import LocalStore

_IMPORTED = ["keras", "mlflow", "nncf", "openvino", "sklearn.metrics", "matplotlib.pyplot"]
_SECONDS = 300


def run_and_kill(
    words: Sequence[str], environment: Mapping[str, str], part: str, log: Path
) -> tuple[int, str]:
    """Exit code and output of `leukoflow`, killed before it writes a manifest below `part`.

    Args:
        words: the command and its options.
        environment: variables of the process, in addition to this one's.
        part: part of the URI of the manifest or pointer, such as `/bundle/`.
        log: file for the output.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *_IMPORTED])
    variables = {**os.environ, **environment}
    process = context.Process(target=_run, args=(list(words), variables, part, log))
    process.start()
    process.join(_SECONDS)
    assert process.exitcode is not None, f"not finished after {_SECONDS} s: {log.read_text()}"
    return process.exitcode, log.read_text()


def _run(words: list[str], variables: dict[str, str], part: str, log: Path) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output, stream.fileno())
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = ["leukoflow", *words]
    write = LocalStore.write

    def kill_before(self: LocalStore, uri: str, data: bytes, **conditions: Any) -> Any:
        if part in uri and uri.endswith(("/manifest.json", "/pointer.json")):
            os.kill(os.getpid(), signal.SIGKILL)
        return write(self, uri, data, **conditions)

    LocalStore.write = kill_before  # type: ignore[method-assign]
    cli.main()
