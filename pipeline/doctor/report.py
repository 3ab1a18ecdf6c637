"""All checks in their order, and their findings as text and JSON."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import psutil
from rich.text import Text

from pipeline.doctor import configuration, machine, network, servers, store
from pipeline.doctor.finding import Finding, Subject, problem
from pipeline.errors import InvalidInputError, PipelineError
from pipeline.settings import Settings, load_settings

Check = Callable[[Subject], Iterable[Finding]]
"""Examines one thing; changes nothing."""
MACHINE: tuple[Check, ...] = (
    machine.python,
    machine.home,
    machine.disk,
    machine.memory,
    machine.open_files,
    machine.encoding,
    machine.weights,
    machine.image_builder,
)
"""Checks that need no valid setting."""
CHECKS: tuple[Check, ...] = (
    *MACHINE,
    configuration.model,
    configuration.configs,
    configuration.addresses,
    configuration.api_keys,
    network.ports,
    network.proxies,
    store.credentials,
    store.clock,
    store.store,
    store.pointer,
    servers.mlflow,
    servers.airflow,
    servers.service,
    servers.reports,
)
_COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}


def examine(environment: Mapping[str, str] | None = None) -> list[Finding]:
    """Findings of all checks; of the machine alone if the settings cannot be read.

    Args:
        environment: variables of the process, by default those with which it was started.
    """
    environment = original_environment() if environment is None else environment
    try:
        subject = Subject(load_settings(), environment)
    except (InvalidInputError, OSError, UnicodeDecodeError) as error:
        subject = Subject(Settings.model_construct(), environment)
        action = "correct the variable, or the line in stack.env"
        unread = problem("settings", str(error), "every command fails with this error", action)
        return [unread, *run_checks(subject, MACHINE)]
    return list(run_checks(subject))


def run_checks(subject: Subject, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    """Findings of checks; one that raises is a finding itself."""
    for check in checks:
        try:
            yield from check(subject)
        except (PipelineError, OSError, ValueError, LookupError) as error:
            value = f"{type(error).__name__}: {error}"
            name = check.__name__.replace("_", " ")
            yield problem(name, value, "this check could not be completed", "correct the cause")


def original_environment() -> dict[str, str]:
    """This process's variables, but `NO_PROXY` as it was at the start: we extend our own."""
    started = psutil.Process().environ()
    unchanged = {name: started.get(name, "") for name in ("NO_PROXY", "no_proxy")}
    return {**os.environ, **unchanged}


def exit_code(findings: Iterable[Finding]) -> int:
    """0 if all is well, 3 if something is unreachable, else 2."""
    return max((finding.exit_code for finding in findings), default=0)


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """`ok`, the exit code and every finding."""
    code = exit_code(findings)
    return {
        "ok": code == 0,
        "exit_code": code,
        "checks": [{**asdict(finding), "ok": finding.state != "problem"} for finding in findings],
    }


def lines(findings: Iterable[Finding]) -> Iterator[Text]:
    """A line per finding, and below a problem what it means and what to do."""
    for finding in findings:
        state = (f"{finding.state:<8}", _COLOURS[finding.state])
        yield Text.assemble(state, f"{finding.name}: {finding.value}")
        if finding.meaning:
            yield Text(f"        means: {finding.meaning}")
        if finding.action:
            yield Text(f"        do: {finding.action}")
