"""How a run goes on: from the newest checkpoint that can be used, and from the journals where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from robot_rl.checkpoint import AGENT_FILE, checkpoint_names, read_checkpoint, set_aside
from robot_rl.exceptions import DataError, DiskError
from robot_rl.experience import Records
from robot_rl.learner import Learner

Make = Callable[[Records | None], Learner]
"""Makes a learner with these demonstrations; with None one that is to be restored."""


def resume(folder: Path, make: Make, demonstrations: Callable[[], Records], tell: Callable[[str], None]) -> Learner:
    """The learner of a run whose checkpoints are in `folder`; a new one where there are none.

    In this order: the newest checkpoint that is whole, its replay included; the newest whose agent is, while the
    journals bring its replay again; a new learner, which learns again from all that the journals bring. What is
    newer than the one used is set aside.

    tell: hears in one sentence of anything but the first checkpoint tried. Raises `ConfigError` where a checkpoint
    is of another agent or for other observations or actions, and `DataError` for the demonstrations,
    `DiskError` and `RunFolderError` where disk or folder are not at hand: then nothing was set aside or removed.
    """
    names = checkpoint_names(folder)[::-1]
    reasons = []
    for tried, name in enumerate(names):
        learner = make(None)
        try:
            learner.restore(read_checkpoint(folder / name))
        except DiskError:  # no fault of the checkpoint's, which must not be set aside for it
            learner.close()
            raise
        except DataError as error:
            reasons.append(str(error))
            learner.close()
            continue
        if reasons:
            _set_aside(folder, names[:tried])
            tell(f"{'; '.join(reasons)}; set aside; going on from {name}")
        return learner
    learner = make(demonstrations())
    for tried, name in enumerate(names):
        try:
            learner.restore_agent(read_checkpoint(folder / name, only=(AGENT_FILE,)))
        except DataError:
            continue  # its reason is among those above
        _set_aside(folder, names[:tried])
        tell(f"{reasons[0]}; going on with the agent of {name}, and the journals fill its replay again")
        return learner
    if names:
        _set_aside(folder, names)
        tell(
            f"{reasons[0]}; no checkpoint of {folder} can be used, all are set aside: learning again from the journals"
        )
    return learner


def _set_aside(folder: Path, names: list[str]) -> None:
    for name in names:
        set_aside(folder / name)
