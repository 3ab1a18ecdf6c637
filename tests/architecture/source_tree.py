"""The modules of this project and what they import, read without importing them."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipeline", "bento_service", "monitoring")


def modules(package: str) -> Iterator[tuple[str, Path]]:
    """Dotted name and file of every module below a package."""
    for path in sorted((ROOT / package).rglob("*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts), path


def imported(path: Path) -> set[str]:
    """All imports of a file: at the top, inside functions and for type checking."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from pipeline.adapters import requirements` imports a module, other lines a name.
            source = ROOT.joinpath(*node.module.split("."))
            for alias in node.names:
                below = (source / alias.name).is_dir() or (source / f"{alias.name}.py").is_file()
                names.add(f"{node.module}.{alias.name}" if below else node.module)
    return names


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in (*PACKAGES, "dags", "benchmarks")}


def within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in allowed)
