"""Words that this project does not use, and the standard terms to use instead.

`python -m tests.architecture.vocabulary [PATH ...]` lists every use below the paths;
`test_vocabulary.py` fails on one. Why: a reader searches for *queue*, *timeout* or *threshold*, and
must not have to learn a dialect first.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROSE = {
    r"\bcrowd(s|ed)?\b": "concurrent requests, overload",
    r"\bline in front of\b": "work queue",
    r"\bpatience\b": "request timeout",
    r"\bdoors?\b": "listening socket, API-key check, interface",
    r"\b(drain|the end of a worker)\b": "graceful shutdown",
    r"\bdoubt(s|ful)?\b": "uncertainty",
    r"\b(told|spoke)\b": "responded, reported",
    r"\blevell(ed|ing)\b": "standardised",
    r"\bthin(ner|ned|ning)? convolutions?\b|\bthinning\b": "low-rank convolution",
    r"\breigns?\b": "serving period",
    r"\bcontend\b": "promote with retry",
    r"\bstrangers?\b": "out-of-domain",
    r"\b(is|are|was|were|goes|went) away\b": "unreachable, not responding",
    r"\bset(s|ting)? aside\b": "quarantined (data), skipped (files)",
    r"\bcircumstances\b": "provenance",
    r"\bchance explains\b": "the alarm threshold",
    r"\bsetting is none\b": "invalid value for SETTING",
    r"\b(whoever|what) answers\b": "the champion, the serving model",
    r"\bcould not begin\b": "failed to start",
    r"\bdeal(s|t|ing)?\b(?! with)": "split, assign",
    r"\bwhoever\b": "a noun",
}
"""Pattern of a word or phrase in prose, and what to write instead."""
IDENTIFIERS = {
    "crowd": "overload",
    "patience": "timeout_s",
    "door": "socket, api_key_check",
    "drain": "graceful_shutdown",
    "doubt": "uncertainty",
    "doubts": "uncertainties",
    "told": "result, response, message",
    "said": "result, response, message",
    "spoke": "responded",
    "asked": "request",
    "wanted": "expected",
    "levelled": "standardised",
    "thin": "low_rank",
    "thinned": "low_rank",
    "thinning": "low_rank",
    "reign": "serving_period",
    "reigns": "serving_periods",
    "contend": "promote_with_retry",
    "stranger": "out_of_domain",
    "strangers": "out_of_domain",
    "away": "unreachable",
    "aside": "quarantined, skipped",
    "circumstances": "provenance",
    "dealt": "assigned",
    "fewest": "min_",
    "worth": "value",
}
"""Part of an identifier (between underscores or capitals), and what to write instead."""
EXCEPTIONS = {
    "LICENSE": "a legal text",
    "tests/architecture/vocabulary.py": "lists the words",
    "tests/architecture/test_vocabulary.py": "tests the list",
}
"""File that may use them all, and why."""
NAMED = {
    ("pipeline/steps/evaluation/mistakes.py", "doubt"): "reads the field of version 0.1",
    ("tests/unit/steps/evaluation/test_evaluation_page.py", "doubt"): "tests that reader",
}
"""File and word that it may use, and why."""
PERSISTED = {"drain_seconds": "field of the environment variable DRAIN_SECONDS"}
"""Identifier that keeps its name, and why."""
_SUFFIXES = {".py", ".md", ".j2", ".html", ".js", ".css", ".yaml", ".yml", ".toml", ".sh", ""}
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def violations(path: Path) -> Iterator[str]:
    """`file:line: word (instead: ...)` for each use of a listed word in a file."""
    name = path.relative_to(ROOT).as_posix()
    text = path.read_text()
    found = _in_prose(text, path.suffix == ".py")
    if path.suffix in (".py", ".js"):
        found |= _in_identifiers(text, path.suffix)
    for line, word, instead in sorted(found):
        if (name, word) not in NAMED:
            yield f"{name}:{line}: {word} (instead: {instead})"


def tracked_files(*below: str) -> list[Path]:
    """Text files of the checkout that people read or write, below some paths or all."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *below],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return [
        ROOT / name
        for name in listed
        if name
        and name not in EXCEPTIONS
        and Path(name).suffix in _SUFFIXES
        and (ROOT / name).is_file()
    ]


def _in_prose(text: str, is_python: bool) -> set[tuple[int, str, str]]:
    pieces = _comments_and_strings(text) if is_python else [(1, text)]
    return {
        (first + piece.count("\n", 0, match.start()), match[0].lower(), instead)
        for first, piece in pieces
        for pattern, instead in PROSE.items()
        for match in re.finditer(pattern.replace(" ", r"\s+(?:#\s+)?"), piece, re.I)
    }


def _comments_and_strings(source: str) -> list[tuple[int, str]]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    kinds = (tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1))
    return [(token.start[0], token.string) for token in tokens if token.type in kinds]


def _in_identifiers(text: str, suffix: str) -> set[tuple[int, str, str]]:
    names = _python_names(text) if suffix == ".py" else _script_names(text)
    return {
        (line, name, IDENTIFIERS[part.lower()])
        for line, name in names
        for part in _PARTS.findall(name)
        if part.lower() in IDENTIFIERS and name not in PERSISTED
    }


def _python_names(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr


def _script_names(source: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(source.splitlines(), 1):
        for name in re.findall(r"\b(?:const|let|function|class)\s+(\w+)", line):
            yield number, name


if __name__ == "__main__":
    for listed in tracked_files(*sys.argv[1:]):
        sys.stdout.writelines(f"{line}\n" for line in violations(listed))
