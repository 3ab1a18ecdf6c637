"""Follow an Airflow DAG run in a live table on a terminal, else in plain lines."""

import time
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.adapters.airflow import AirflowClient, DagRun, TaskState
from pipeline.errors import PipelineError, UnreachableError

POLL_SECONDS = 1.0
_COLOURS = {"success": "green", "running": "yellow", "failed": "red", "skipped": "dim"}


class RunFailedError(PipelineError):
    """An Airflow DAG run did not succeed."""


def follow(client: AirflowClient, run: DagRun, console: Console, *, timeout: float) -> DagRun:
    """Show the tasks of a DAG run until it ends, and return it; RunFailedError unless it succeeded.

    Raises:
        RunFailedError: the run failed; names the failed task and has its last log lines.
        UnreachableError: the run has not ended after `timeout` seconds.
    """
    console.print(f"following {run.dag_id}: {run.url}", soft_wrap=True)
    polls = _poll(client, run, timeout)
    end = _show_live(polls, run, console) if console.is_terminal else _print_plain(polls, console)
    if end.state != "success":
        raise _failure(client, end)
    return end


Poll = tuple[DagRun, list[TaskState], float]
"""The run, its tasks and the seconds since the start."""


def _poll(client: AirflowClient, run: DagRun, timeout: float) -> Iterator[Poll]:
    """Yield the run's state each second until it ends; UnreachableError after the timeout."""
    start = time.monotonic()
    while True:
        now = client.run(run.dag_id, run.run_id)
        elapsed = time.monotonic() - start
        yield now, client.tasks(run.dag_id, run.run_id), elapsed
        if now.finished:
            return
        if elapsed > timeout:
            raise UnreachableError(f"{run.dag_id} has not ended within {timeout:.0f} s: {run.url}")
        time.sleep(POLL_SECONDS)


def _show_live(polls: Iterator[Poll], run: DagRun, console: Console) -> DagRun:
    """Show the polls as a live table; returns the finished run."""
    with Live(console=console, refresh_per_second=4) as live:
        for run, tasks, elapsed in polls:
            live.update(_table(run, tasks, elapsed))
    return run


def _print_plain(polls: Iterator[Poll], console: Console) -> DagRun:
    """Print a line for each task that ends; returns the finished run."""
    printed: set[tuple[str, int]] = set()
    for poll in polls:
        run, tasks, elapsed = poll
        for task in tasks:
            key = (task.task_id, task.map_index)
            if key not in printed and task.state in ("success", "failed", "skipped"):
                printed.add(key)
                line = f"{elapsed:6.0f} s  {_name(task):<20} {task.state} {task.seconds:7.1f} s"
                console.print(line, highlight=False)
    return run


def _table(run: DagRun, tasks: list[TaskState], elapsed: float) -> Table:
    table = Table(title=f"{run.dag_id}: {run.state}, {elapsed:.0f} s", title_justify="left")
    table.add_column("task")
    table.add_column("state")
    table.add_column("seconds", justify="right")
    for task in tasks:
        colour = _COLOURS.get(task.state, "default")
        table.add_row(_name(task), Text(task.state, colour), f"{task.seconds:.1f}")
    return table


def _name(task: TaskState) -> str:
    return task.task_id if task.map_index < 0 else f"{task.task_id} [{task.map_index}]"


def _failure(client: AirflowClient, run: DagRun) -> RunFailedError:
    """The error for a failed run, with the last log lines of its first failed task."""
    failed = [t for t in client.tasks(run.dag_id, run.run_id) if t.state == "failed"]
    if not failed:
        return RunFailedError(f"{run.dag_id} ended as {run.state}: {run.url}")
    lines = client.log(run.dag_id, run.run_id, failed[0], lines=8)
    return RunFailedError(
        f"{run.dag_id} ended as {run.state} at {failed[0].task_id}: {run.url}",
        received="\n".join(lines),
    )
