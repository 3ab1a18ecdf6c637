"""Wait until the parts of a stack are healthy, and show which ones are not."""

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
    timeout_s: float,
) -> list[Part]:
    """Poll until all parts are healthy or time is up; returns the unhealthy parts.

    Args:
        parts: in the order in which they are checked.
        healthy: whether a part is healthy now.
        check: called in every round; raises when waiting is useless.
        console: gets a spinner on a terminal, and a line for each part that becomes healthy.
        timeout_s: seconds after which to give up.
    """
    start = time.monotonic()
    missing = list(parts)
    with spinner(console, _waiting_for(missing)) as show:
        while missing and time.monotonic() - start < timeout_s:
            show(_waiting_for(missing))
            check()
            for part in [part for part in missing if healthy(part)]:
                missing.remove(part)
                elapsed = time.monotonic() - start
                console.print(f"{part.title} is up ({elapsed:.1f} s)", highlight=False)
            if missing:
                time.sleep(_POLL_SECONDS)
    return missing


def _waiting_for(missing: list[Part]) -> str:
    """Text of the spinner: the first missing part and the number of others."""
    others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return f"waiting for {missing[0].title}{others}"


@contextlib.contextmanager
def spinner(console: Console, text: str) -> Iterator[Callable[[str], None]]:
    """Show `text` while the block runs; yields a function that replaces it.

    Without a terminal each new text is printed once, as a plain line.
    """
    previous = ""

    def print_once(line: str) -> None:
        nonlocal previous
        if line != previous:
            console.print(line, highlight=False)
            previous = line

    if not console.is_terminal:
        print_once(text)
        yield print_once
        return
    with console.status(text) as status:
        yield status.update
