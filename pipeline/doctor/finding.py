"""What a check examines, and what it finds."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pipeline.embedded.stack import find_supervisor
from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.settings import Settings

State = Literal["ok", "note", "problem"]
"""`note`: nothing is wrong, but something is missing or worth knowing."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor."""

    name: str
    state: State
    value: str
    """What was found."""
    meaning: str = ""
    """What it means for the user; empty if all is well."""
    action: str = ""
    """What to do; empty if nothing."""
    exit_code: int = 0
    """0, or of a problem 2 (input, configuration, machine) or 3 (unreachable)."""


@dataclass(frozen=True)
class Subject:
    """Settings and environment of the examined installation."""

    settings: Settings
    environment: Mapping[str, str]
    """Variables with which the process was started."""

    @property
    def home(self) -> Path:
        """LEUKOFLOW_HOME, absolute; may not exist."""
        return self.settings.leukoflow_home.resolve()

    @cached_property
    def stack_is_up(self) -> bool:
        """Whether the supervisor of the stack at this home runs."""
        return find_supervisor(self.home) is not None

    def expects(self, setting: str) -> bool:
        """Whether a server should respond: the stack is up, or the environment has its address."""
        return self.stack_is_up or bool(self.environment.get(setting.upper()))


def ok(name: str, value: str) -> Finding:
    """All is well."""
    return Finding(name, "ok", value)


def note(name: str, value: str, action: str = "") -> Finding:
    """Nothing is wrong; `action` says how to get what is missing."""
    return Finding(name, "note", value, action=action)


def problem(name: str, value: str, meaning: str, action: str) -> Finding:
    """Something that a person must correct: input, configuration or machine."""
    return Finding(name, "problem", value, meaning, action, InvalidInputError.exit_code)


def unreachable(name: str, value: str, meaning: str, action: str) -> Finding:
    """Something that does not respond."""
    return Finding(name, "problem", value, meaning, action, UnreachableError.exit_code)
