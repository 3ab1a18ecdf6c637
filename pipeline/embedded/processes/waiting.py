"""Wait for the parts of a stack and say which one is waited for."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console

from pipeline.embedded.parts import Part

_POLL_SECONDS = 0.3


def until_healthy(
    parts: list[Part],
    healthy: Callable[[Part], bool],
    check: Callable[[], None],
    console: Console,
    seconds: float,
) -> list[Part]:
    """Ask every part until all are healthy, and return those that still are not after `seconds`.

    Args:
        parts: who is waited for, in the order in which they are asked.
        healthy: whether a part does its work now.
        check: called in every round; raises when there is nothing left to wait for.
        console: gets a spinner on a terminal, and a line per part as it becomes healthy.
        seconds: when to give up.
    """
    begun = time.monotonic()
    missing = list(parts)
    with spinner(console, _waiting_for(missing)) as show:
        while missing and time.monotonic() - begun < seconds:
            show(_waiting_for(missing))
            check()
            for part in [part for part in missing if healthy(part)]:
                missing.remove(part)
                passed = time.monotonic() - begun
                console.print(f"{part.title} is up ({passed:.1f} s)", highlight=False)
            if missing:
                time.sleep(_POLL_SECONDS)
    return missing


def _waiting_for(missing: list[Part]) -> str:
    others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return f"waiting for {missing[0].title}{others}"


@contextlib.contextmanager
def spinner(console: Console, text: str) -> Iterator[Callable[[str], None]]:
    """A line that says what is waited for; plain lines, each once, where there is no terminal."""
    said = ""

    def say(line: str) -> None:
        nonlocal said
        if line != said:
            console.print(line, highlight=False)
            said = line

    if not console.is_terminal:
        say(text)
        yield say
        return
    with console.status(text) as live:
        yield live.update
