"""The command `leukoflow`.

`steps` has the pipeline's steps, `models` promotion and prediction, `stack` the embedded stack,
`keys` API keys, `inspection` the dry run; `options` is shared. `monitoring.command` adds `drift`
and `gather`.

Exit codes: 0 done, 1 refused by a gate, 2 bad usage or input, 3 a service is unreachable,
4 the disk is full.
"""

import logging
import sys
from importlib.metadata import entry_points
from typing import NoReturn

import typer
from rich.text import Text

from pipeline.cli import inspection, models, stack, steps
from pipeline.cli.keys import keys
from pipeline.cli.options import plain_console
from pipeline.errors import PipelineError, of_system

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for group in (stack, inspection, steps, models):
    app.add_typer(group.app)
app.add_typer(keys, name="keys")


def main() -> None:
    """Run the command line; an expected failure prints one line and exits with its code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("httpx", "botocore", "boto3", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for plugin in entry_points(group="leukoflow.commands"):
        app.command(plugin.name)(plugin.load())
    try:
        app()
    except PipelineError as error:
        _fail(error)
    except OSError as error:
        expected = of_system(error)
        if expected is None:
            raise
        _fail(expected)


def _fail(error: PipelineError) -> NoReturn:
    """Print an error on stderr and exit with its code."""
    line = Text.assemble(("error", "red"), f" {error}")
    plain_console(stderr=True).print(line, highlight=False, soft_wrap=True)
    sys.exit(error.exit_code)
