"""`robot-rl new-task NAME`: a folder that trains as it is, to be made into a task of one's own.

The files beside this one are the task that docs/new-task.md explains; a test holds the two together.
"""

from __future__ import annotations

import re
from pathlib import Path

import tasks
from robot_rl.disk import disk_errors
from robot_rl.exceptions import ConfigError

EXAMPLE = "press_pad"
"""What the files call their task."""
FILES = {"task.txt": "task.py", "scene.xml": "scene.xml", "README.md": "README.md"}
"""Of each, the name in the folder of a task."""


def make_task(name: str, folder: Path | None = None) -> Path:
    """Make `folder`/`name` (the installed tasks' folder unless given) and return it.

    Raises `ConfigError` where the name cannot be a task's or is one already, `DiskError` where nothing can be written.
    """
    folder = folder or Path(tasks.__file__).parent
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ConfigError(f"a task cannot be called {name!r}; begin with a small letter, then a-z, 0-9 and _.")
    made = folder / name
    if made.exists() or (folder / f"{name}.py").exists():
        raise ConfigError(f"{made} exists already; choose another name, or remove it first.")
    with disk_errors(made):
        made.mkdir()
        (made / "__init__.py").touch()
        for source, target in FILES.items():
            text = Path(__file__).with_name(source).read_text()
            (made / target).write_text(text.replace(EXAMPLE, name))
    return made
