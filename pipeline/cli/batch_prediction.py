"""Send many images to the service, concurrently, and list the predictions as CSV rows."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from glob import escape, glob, has_magic
from pathlib import Path
from typing import Any

from pipeline.adapters.service_client import classify, served_model
from pipeline.contract.files.file_policy import (
    HEAD_BYTES,
    left_out_by_content,
    left_out_by_path,
)
from pipeline.errors import InvalidInputError, PipelineError, UnreachableError
from pipeline.records import FileCounts, Frozen, Skipped, escape_formula, to_csv

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib"})
"""Suffixes of the images in a folder; a file that is named is sent with any suffix."""
_OTHER_FORMAT = "format that the service does not read"


class PredictionRow(Frozen):
    """CSV row of one file: the service's prediction, or the error."""

    file: str
    label: str = ""
    probability: float | None = None
    decision: str = ""
    reasons: str = ""
    """Codes of the review reasons, separated by spaces."""
    tag: str = ""
    request_id: str = ""
    error: str = ""


def find_images(arguments: Iterable[str]) -> tuple[list[Path], FileCounts]:
    """Files that arguments name, in order, each once, and the numbers of other files in folders.

    Args:
        arguments: files, folders (all images below) and glob patterns.

    Raises:
        InvalidInputError: if an argument names no image.
    """
    images: dict[Path, None] = {}
    left_out: dict[Path, Skipped] = {}
    for text in arguments:
        paths = {path: _left_out(path, folder) for path, folder in _matches(text)}
        found = [path for path, reason in paths.items() if reason is None]
        others = {path: reason for path, reason in paths.items() if reason is not None}
        if not found:
            raise InvalidInputError(
                "; ".join(["no image found", *FileCounts.of(others.values()).lines()]),
                expected="a file, a folder with JPEG, PNG or BMP files, or a glob pattern of files",
                received=text,
            )
        images |= dict.fromkeys(found)
        left_out |= others
    return list(images), FileCounts.of(left_out.values())


def _left_out(path: Path, folder: Path | None) -> Skipped | None:
    """Why a file below a folder is not sent; None if it is, or if an argument names it."""
    if folder is None:
        return None
    name = path.relative_to(folder).as_posix()
    by_name = left_out_by_path(name)
    if by_name is None:
        with path.open("rb") as file:
            by_name = left_out_by_content(name, file.read(HEAD_BYTES))
    if by_name is not None:
        return Skipped(file=name, **vars(by_name))
    return None if path.suffix.lower() in SUFFIXES else Skipped(file=name, reason=_OTHER_FORMAT)


def _matches(text: str) -> Iterator[tuple[Path, Path | None]]:
    """Files that an argument means: itself, all in a folder, or matches of a pattern.

    Each with the folder that the argument names; None for a file or a pattern.
    """
    path = Path(text)
    if path.is_dir():
        yield from ((below, path) for below in sorted(path.rglob("*")) if below.is_file())
    elif path.is_file():
        yield path, None
    elif has_magic(text):
        # A folder that exists is no pattern, such as `slide [a]` of `slide [a]/*.jpg`.
        folder = next((parent for parent in path.parents if parent.is_dir()), Path())
        pattern = f"{escape(str(folder))}/{path.relative_to(folder)}"
        matched = sorted(glob(pattern, recursive=True))  # noqa: PTH207  # accepts absolute patterns
        yield from ((Path(one), None) for one in matched if Path(one).is_file())


def predict_all(
    url: str,
    paths: Iterable[Path],
    parallel: int,
    report: Callable[[], object],
    key: str = "",
) -> list[tuple[PredictionRow, dict[str, Any]]]:
    """Send all files to the service; each failure is a row with an error and stops no other.

    Args:
        url: the service's URL.
        paths: files to send.
        parallel: concurrent requests.
        report: called after each file.
        key: API key; empty for a service without keys.

    Returns:
        For each file, in order: its row and the service's response, empty after an error.

    Raises:
        UnreachableError: when every file failed and there is no service or no model.
    """

    def predict(path: Path) -> tuple[PredictionRow, dict[str, Any]]:
        try:
            response = classify(url, "image", path.read_bytes(), key)
        except (PipelineError, OSError) as error:
            return PredictionRow(file=str(path), error=str(error)), {}
        finally:
            report()
        return _row(path, response), response

    with ThreadPoolExecutor(parallel) as pool:
        results = list(pool.map(predict, paths))
    # Distinguish invalid files from a missing service or model.
    if all(row.error for row, _ in results) and served_model(url, key) is None:
        raise UnreachableError(f"no model is served at {url} yet", expected="a promoted model")
    return results


def spreadsheet(rows: Iterable[PredictionRow]) -> str:
    """Rows as CSV; a name that a spreadsheet would run as a formula gets an apostrophe."""
    safe = (
        row.model_copy(
            update={"file": escape_formula(row.file), "label": escape_formula(row.label)}
        )
        for row in rows
    )
    # Quoted, because a lone carriage return would start a new row.
    return to_csv(safe, PredictionRow, quote_all=True)


def _row(path: Path, response: dict[str, Any]) -> PredictionRow:
    """CSV row of a file and the service's successful response."""
    return PredictionRow(
        file=str(path),
        label=response["label"],
        probability=response["probabilities"][response["label"]],
        decision=response["decision"],
        reasons=" ".join(reason["code"] for reason in response["reasons"]),
        tag=response["tag"],
        request_id=response["request_id"],
    )
