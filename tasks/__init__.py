"""Tasks: one folder each. `load("peg_insert")` gives its `TaskSpec`."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path

from tasks.spec import TaskSpec


class UnknownTask(LookupError):
    """No task of that name; the message lists those there are."""


def names() -> list[str]:
    """Names of the tasks, sorted: every folder here that holds a `task.py`."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/task.py"))


def load(name: str) -> TaskSpec:
    """The task called `name`. Raises `UnknownTask`."""
    choices = names()
    if name not in choices:
        near = difflib.get_close_matches(name, choices, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise UnknownTask(f"there is no task {name!r}{hint}; choose one of {', '.join(choices)}")
    spec = importlib.import_module(f"tasks.{name}.task").SPEC
    assert isinstance(spec, TaskSpec)
    return spec
