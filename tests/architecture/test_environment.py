"""One function changes the environment of this process."""

import ast

import pytest

from tests.architecture.source_tree import PACKAGES, modules

CHANGES_ENVIRONMENT = {"update", "setdefault", "pop", "popitem", "clear", "putenv", "unsetenv"}


def environment_writes(source: str) -> set[str]:
    """The statements of a module that change `os.environ`."""
    written = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Subscript(value=target, ctx=ast.Store() | ast.Del()):
                pass
            case ast.AugAssign(target=target):
                pass
            case ast.Call(func=ast.Attribute(value=target, attr=attr)) if (
                attr in CHANGES_ENVIRONMENT
            ):
                pass
            case _:
                continue
        if ast.unparse(target) in ("os.environ", "environ", "os"):
            written.add(ast.unparse(node))
    return written


@pytest.mark.parametrize(
    "source",
    [
        'os.environ["A"] = "1"',
        'del os.environ["A"]',
        'os.environ |= {"A": "1"}',
        'os.environ.setdefault("A", "1")',
        'from os import environ; environ.pop("A")',
        'os.putenv("A", "1")',
    ],
)
def test_a_write_of_the_environment_is_found(source: str) -> None:
    """And reading, or extending a copy, is none."""
    assert environment_writes(source)
    assert not environment_writes('{**os.environ, "A": "1"}; os.environ["A"]; os.environ | {}')


def test_one_function_writes_the_environment() -> None:
    """A child process gets a mapping; what a library reads here is set before it is imported."""
    folders = (*PACKAGES, "dags", "benchmarks", "docker")
    written = {name for folder in folders for name, path in modules(folder)
               if environment_writes(path.read_text())}  # fmt: skip
    assert written == {"pipeline.telemetry"}
