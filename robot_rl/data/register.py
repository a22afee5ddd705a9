"""Whose journal is whose: the identity of a journal, and the learner's memory of which one each actor delivers from.

A sequence counts in one journal only. An actor that comes back with a new one, since its old one was lost, would
begin again at 0, and what it made up to the number that the learner wants next would be taken for known.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from robot_rl.disk import write_durably
from robot_rl.exceptions import DataError

IDENTITY = "identity"


def journal_identity(folder: Path) -> str:
    """The UUID of the journal in `folder`, made when it is first asked for, and never again.

    Raises `DataError` where the file that holds it is damaged.
    """
    path = Path(folder) / IDENTITY
    if not path.exists():
        write_durably(path, f"{uuid.uuid4()}\n")
    text = path.read_text(errors="replace").strip()
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise DataError(f"{path} holds {text!r}, which is no UUID; restore it from a copy") from error


class Register:
    """The journal of each actor, in one file, written before the first record of a journal is taken.

    It is not part of a checkpoint: a learner that restarts from an older one must not forget it.
    """

    def __init__(self, path: Path) -> None:
        """Raises `DataError` where the file is damaged."""
        self._path = path
        self._journals: dict[str, str] = {}
        if path.exists():
            try:
                found = json.loads(path.read_text())
                self._journals = {str(actor): str(uuid.UUID(journal)) for actor, journal in found.items()}
            except (ValueError, TypeError, AttributeError) as error:
                raise DataError(f"{path} is damaged ({error}); restore it from a copy") from error

    def journal(self, actor: str) -> str | None:
        """The journal that `actor` delivers from; None before its first record."""
        return self._journals.get(actor)

    def enter(self, actor: str, journal: str) -> None:
        """`actor` delivers from `journal`. Returns once the disk has it. Raises `DiskError` where it cannot."""
        if self._journals.get(actor) == journal:
            return
        journals = self._journals | {actor: journal}
        write_durably(self._path, json.dumps(journals, indent=1, sort_keys=True) + "\n")
        self._journals = journals
