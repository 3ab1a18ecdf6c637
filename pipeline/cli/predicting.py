"""Many images to the service: files, folders and patterns, several at a time."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from glob import glob, has_magic
from pathlib import Path
from typing import Any

from pipeline.adapters.service_client import classify, served_model
from pipeline.errors import InvalidInputError, PipelineError, UnreachableError
from pipeline.records import Frozen, to_csv

ENDINGS = frozenset({".jpg", ".jpeg", ".png"})
"""Of files that a folder is searched for; a file that is named is sent whatever it is called."""


class Told(Frozen):
    """What the service told of one file, or why it did not."""

    file: str
    label: str = ""
    probability: float | None = None
    decision: str = ""
    reasons: str = ""
    """Codes, apart by spaces."""
    tag: str = ""
    request_id: str = ""
    error: str = ""


def find_images(given: Iterable[str]) -> list[Path]:
    """Files in the order given; of a folder all images below it, of a pattern what it matches.

    Raises:
        InvalidInputError: when one of them stands for no file.
    """
    found: dict[Path, None] = {}
    for text in given:
        paths = list(_stands_for(text))
        if not paths:
            raise InvalidInputError(
                "no image",
                expected="a file, a folder with JPEG or PNG files, or a pattern that matches some",
                received=text,
            )
        found |= dict.fromkeys(paths)
    return list(found)


def _stands_for(text: str) -> Iterator[Path]:
    path = Path(text)
    if path.is_dir():
        below = (p for p in path.rglob("*") if p.suffix.lower() in ENDINGS)
        yield from sorted(p for p in below if p.is_file())
    elif path.is_file():
        yield path
    elif has_magic(text):
        matched = sorted(glob(text, recursive=True))  # noqa: PTH207  # takes absolute patterns too
        yield from (Path(one) for one in matched if Path(one).is_file())


def ask_all(
    url: str,
    paths: Iterable[Path],
    parallel: int,
    report: Callable[[], object],
    key: str = "",
) -> list[tuple[Told, dict[str, Any]]]:
    """Ask about every file; one that is refused, or lost, costs itself alone.

    Args:
        url: of the service.
        paths: files to send.
        parallel: requests at a time.
        report: called whenever a file is done.
        key: for a service that asks for an API key.

    Returns:
        What was told of each in the order given, in short and as the service put it.

    Raises:
        UnreachableError: when no file was answered, since there is no service or no model.
    """

    def ask(path: Path) -> tuple[Told, dict[str, Any]]:
        try:
            answer = classify(url, "image", path.read_bytes(), key)
        except (PipelineError, OSError) as error:
            return Told(file=str(path), error=str(error)), {}
        finally:
            report()
        return _told(path, answer), answer

    with ThreadPoolExecutor(parallel) as pool:
        told = list(pool.map(ask, paths))
    # Was it the files, or is nobody there?
    if all(one.error for one, _ in told) and served_model(url, key) is None:
        raise UnreachableError(f"no model is served at {url} yet", expected="a promoted model")
    return told


def spreadsheet(told: Iterable[Told]) -> str:
    """As CSV; a file name that would be a formula gets an apostrophe before it."""
    safe = (one.model_copy(update={"file": _text(one.file)}) for one in told)
    return to_csv(safe, Told, quote_all=True)  # else a lone carriage return begins a new row


def _text(value: str) -> str:
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _told(path: Path, answer: dict[str, Any]) -> Told:
    return Told(
        file=str(path),
        label=answer["label"],
        probability=answer["probabilities"][answer["label"]],
        decision=answer["decision"],
        reasons=" ".join(reason["code"] for reason in answer["reasons"]),
        tag=answer["tag"],
        request_id=answer["request_id"],
    )
