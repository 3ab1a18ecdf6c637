"""A run of Airflow, followed on a terminal or in plain lines."""

import time
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live
from rich.table import Table

from pipeline.adapters.airflow import AirflowClient, DagRun, TaskState
from pipeline.errors import PipelineError, UnreachableError

POLL_SECONDS = 1.0
_COLOURS = {"success": "green", "running": "yellow", "failed": "red", "skipped": "dim"}


class RunFailedError(PipelineError):
    """A run of Airflow did not succeed."""


def follow(client: AirflowClient, run: DagRun, console: Console, *, timeout: float) -> DagRun:
    """Show a run until it ends.

    Raises:
        RunFailedError: when it failed: at which task, and with that one's last log lines.
        UnreachableError: when it has not ended in time.
    """
    console.print(f"following {run.dag_id}: {run.url}", soft_wrap=True)
    looks = _looks(client, run, timeout)
    end = _live(looks, run, console) if console.is_terminal else _plain(looks, console)
    if end.state != "success":
        raise _failure(client, end)
    return end


Look = tuple[DagRun, list[TaskState], float]


def _looks(client: AirflowClient, run: DagRun, timeout: float) -> Iterator[Look]:
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


def _live(looks: Iterator[Look], run: DagRun, console: Console) -> DagRun:
    with Live(console=console, refresh_per_second=4) as live:
        for run, tasks, elapsed in looks:
            live.update(_table(run, tasks, elapsed))
    return run


def _plain(looks: Iterator[Look], console: Console) -> DagRun:
    told: set[tuple[str, int]] = set()
    for look in looks:
        run, tasks, elapsed = look
        for task in tasks:
            key = (task.task_id, task.map_index)
            if key not in told and task.state in ("success", "failed", "skipped"):
                told.add(key)
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
        table.add_row(_name(task), f"[{colour}]{task.state}[/]", f"{task.seconds:.1f}")
    return table


def _name(task: TaskState) -> str:
    return task.task_id if task.map_index < 0 else f"{task.task_id} [{task.map_index}]"


def _failure(client: AirflowClient, run: DagRun) -> RunFailedError:
    failed = [t for t in client.tasks(run.dag_id, run.run_id) if t.state == "failed"]
    if not failed:
        return RunFailedError(f"{run.dag_id} ended as {run.state}: {run.url}")
    lines = client.log(run.dag_id, run.run_id, failed[0], lines=8)
    return RunFailedError(
        f"{run.dag_id} ended as {run.state} at {failed[0].task_id}: {run.url}",
        received="\n".join(lines),
    )
