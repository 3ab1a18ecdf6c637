"""Command `inspect`: the dry run of an archive up to the split, as a table or JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from pipeline.cli.options import Config, Exclude, Include, Json, Limit, plain_console
from pipeline.entrypoints import dataset
from pipeline.entrypoints.config_lookup import path_filter

if TYPE_CHECKING:
    from pipeline.steps.inspection.inspect import Inspection

app = typer.Typer()
REFUSED = 2
"""Exit code for archives that a training would refuse."""


@app.command()
def inspect(
    archive: Annotated[list[str], typer.Argument(help="Paths or s3:// URIs of archives.")],
    config: Config = "",
    limit: Limit = 0,
    include: Include = None,
    exclude: Exclude = None,
    cells: Annotated[
        bool,
        typer.Option(
            help="Search images of one cell: minutes for thousands of images without given groups. "
            "Without it, the rules on cells and the split are not checked."
        ),
    ] = True,
    html: Annotated[Path | None, typer.Option(help="Write the validation report.")] = None,
    as_json: Json = False,
) -> None:
    """Say what a training would make of archives: counts, skipped files, reasons against it.

    Runs ingest, validation, grouping and split in a temporary folder; needs no running stack and
    changes nothing. Exit code 0 if the archives would train, 2 if they would be refused.
    """
    paths = path_filter(include, exclude)
    result, page = dataset.inspect(config, archive, limit, paths, cells=cells)
    if html is not None and page:
        html.write_text(page)
    if as_json:
        print(result.model_dump_json(indent=2))
    else:
        _print(result)
    raise typer.Exit(0 if result.would_train else REFUSED)


def _print(result: "Inspection") -> None:
    """Print a table of counts, then the verdict with its reasons and proposals."""
    console = plain_console()
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("", overflow="fold")
    table.add_column("", overflow="fold")
    table.add_column("count", justify="right")
    _add_rows(table, "class", result.classes)
    _add_rows(table, "duplicate", {"same image, same label": result.duplicates})
    for kind in ("quarantined", "skipped", "ignored"):
        _add_rows(table, kind, getattr(result, kind))
    console.print(table)
    searched = result.cells is not None
    if searched:
        console.print(f"{result.cells} cells in {result.groups} groups")
    for proposal in result.proposals:
        console.print(f"Proposal: {proposal}", soft_wrap=True)
    accepted = "yes" if searched else "yes, unless it has too few cells: they were not searched"
    verdict = accepted if result.would_train else "no, because"
    console.print(f"This would train: {verdict}", style="green" if result.would_train else "red")
    for reason in result.why:
        console.print(f"- {reason}", soft_wrap=True)


def _add_rows(table: Table, kind: str, counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        if count or kind == "class":
            table.add_row(kind, name, str(count))
