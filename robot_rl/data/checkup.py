"""`verify` for whatever a path holds: what cannot be opened is a finding too."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from robot_rl.data.demos import check_same
from robot_rl.data.formats.experience import journals
from robot_rl.data.formats.foreign import import_any, kind_of
from robot_rl.data.formats.intake import Want
from robot_rl.data.journal import JournalReader
from robot_rl.data.progress import bar
from robot_rl.data.verify import Finding, Verdict, verify
from robot_rl.exceptions import DataError


def verify_path(path: Path) -> Verdict:
    """Every finding in a run, a journal, a set, or foreign data (which is imported for it, and thrown away).

    Raises `DataError` where there is nothing of a known format.
    """
    kind = kind_of(path)
    if kind == "experience":
        return _verify_journals(journals(path))
    if kind == "rosbag":
        raise DataError(f"{path} is a bag, and what its topics mean is not known: import it with a map, verify that")
    with TemporaryDirectory() as folder:
        into = Path(folder) / "set"
        try:
            with bar("reading", None) as tell:
                import_any(path, into, Want(), kind, tell)
        except DataError as error:
            return Verdict([Finding("damaged", "fault", str(error))])
        return _verify_journals([into])


def _verify_journals(folders: list[Path]) -> Verdict:
    """The journals together; what cannot be opened, or is of another form, is a fault and left out."""
    found: list[Finding] = []
    readers: list[JournalReader] = []
    for folder in folders:
        try:
            with _heard(found):
                reader = JournalReader(folder)
                if readers:
                    check_same(reader.schema, readers[0].schema, f"the steps in {folder}")
            readers.append(reader)
        except DataError as error:
            found.append(Finding("damaged", "fault", str(error)))
    if not readers:
        return Verdict(found)
    with bar("verifying", sum(reader.next_sequence for reader in readers)) as tell:
        verdict = verify(readers, tell)
    verdict.findings[:0] = found
    return verdict


@contextmanager
def _heard(found: list[Finding]) -> Iterator[None]:
    """What a journal's reader says of a torn tail, as a finding in place of a line in the log."""

    class Hear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(Finding("torn", "warning", record.getMessage()))

    logger, handler = logging.getLogger("robot_rl.data"), Hear(logging.WARNING)
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
