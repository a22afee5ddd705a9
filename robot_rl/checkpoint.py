"""Checkpoints: folders of safetensors and JSON that are either whole or not there.

A checkpoint is written under a temporary name, synced to disk, and renamed; its name begins with its number, so
that later ones sort behind it. `manifest.json` holds a checksum of every other file and of itself, so damage is
seen at loading, where the checkpoint before is used instead. Nothing that is read here runs code.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from robot_rl.disk import disk_errors, sync_folder
from robot_rl.exceptions import DataError, DiskError

MANIFEST = "manifest.json"
AGENT_FILE, POLICY_FILE = "agent.safetensors", "policy.safetensors"
"""A learner's: named arrays of the whole agent, and the message that actors get."""
TEMPORARY = ".writing-"
DAMAGED = "damaged-"
FORMAT = 2
_NAME = re.compile(r"(\d{6,})-")
_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError)
"""What reading bytes that mean something else than they should can raise."""

Contents = bytes | dict[str, NDArray]
"""Of a file: bytes, or named arrays, which become safetensors."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """files: raw contents by name; state: the JSON part. The checksums of all of it have been verified."""

    path: Path
    files: Mapping[str, bytes]
    state: dict[str, Any]

    def arrays(self, name: str) -> dict[str, NDArray]:
        """The named arrays of a safetensors file. DataError: there is none, or it is not of that form."""
        with reading(self.path):
            return safetensors.numpy.load(self.files[name])


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever is wrong in a checkpoint at `path` becomes a `DataError` that names it."""
    try:
        yield
    except DataError as error:
        raise error if str(path) in str(error) else DataError(f"checkpoint {path} cannot be used: {error}") from error
    except (*_DAMAGE, safetensors.SafetensorError) as error:
        raise DataError(f"checkpoint {path} is damaged ({type(error).__name__}: {error})") from error


def save_checkpoint(
    folder: Path,
    title: str,
    files: Mapping[str, Contents],
    state: Mapping[str, Any],
    *,
    score: float | None = None,
    keep: int = 3,
) -> Path:
    """Write the next checkpoint, NUMBER-title, into `folder`; then only the last `keep` and the best remain.

    state: anything JSON can hold; `best` is added, the name of the checkpoint with the highest score so far.
    score: how good it is; None: not known. Raises `DiskError`; then the checkpoints are as they were.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{TEMPORARY}*"):
        shutil.rmtree(leftover)
    name = f"{_next_number(folder):06d}-{title}"
    best = _best(folder, name, score)
    temporary = folder / f"{TEMPORARY}{name}"
    try:
        with disk_errors(folder):
            temporary.mkdir()
            digests = _write_all(temporary, files)
            manifest = {"format": FORMAT, "files": digests, "score": score, "state": {**state, "best": best}}
            _write(temporary / MANIFEST, sign(manifest))
            sync_folder(temporary)
            temporary.rename(folder / name)
    except DiskError:
        shutil.rmtree(temporary, ignore_errors=True)  # gives room for what else has to be written
        raise
    sync_folder(folder)
    for old in checkpoint_names(folder)[:-keep]:
        if old != best:
            shutil.rmtree(folder / old)
    return folder / name


def _write_all(folder: Path, files: Mapping[str, Contents]) -> dict[str, dict[str, Any]]:
    """Write files, and return their checksums and sizes by name."""
    digests = {}
    for file, content in files.items():
        data = content if isinstance(content, bytes) else safetensors.numpy.save(content)
        digests[file] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        _write(folder / file, data)
    return digests


def sign(content: Mapping[str, Any]) -> bytes:
    """A manifest's bytes: the content with its checksum."""
    body = json.dumps(content, sort_keys=True)
    return json.dumps({"sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body}).encode()


def read_checkpoint(path: Path, only: Collection[str] | None = None) -> Checkpoint:
    """One checkpoint; `only`: with these files alone, those of them that it has.

    DataError: a file is missing, of another size or fails its checksum, or the manifest is not of this format.
    """
    with reading(path):
        content = _read_manifest(path)
        files = {}
        for file, expected in content["files"].items():
            if Path(file).name != file or file == MANIFEST:
                raise DataError(f"checkpoint {path}: {MANIFEST} names {file!r}, which is no file of a checkpoint")
            if only is None or file in only:
                files[file] = _read(path / file, expected["bytes"])
                if hashlib.sha256(files[file]).hexdigest() != expected["sha256"]:
                    raise DataError(f"checkpoint {path}: {file} fails its checksum")
        return Checkpoint(path, files, dict(content["state"]))


def newest_checkpoint(folder: Path, only: Collection[str] | None = None) -> Checkpoint | None:
    """The newest sound checkpoint, None when there is none at all. only: read these files alone.

    A damaged one is named in a warning and passed over. DataError: all are damaged.
    """
    names = checkpoint_names(folder)
    for name in reversed(names):
        try:
            return read_checkpoint(folder / name, only)
        except DataError as error:
            log.warning("%s; trying the one before", error)
    if names:
        raise DataError(f"every checkpoint in {folder} is damaged ({', '.join(names)}); train on with --resume")
    return None


def best_checkpoint(folder: Path, only: Collection[str] | None = None) -> Checkpoint | None:
    """The sound checkpoint with the highest score, None where none has one. only: read these files alone."""
    for _, name in sorted(_scores(folder), reverse=True):
        try:
            return read_checkpoint(folder / name, only)
        except DataError:
            continue  # as good as not there: what is asked for is the best that can be had
    return None


def checkpoint_names(folder: Path) -> list[str]:
    """The checkpoints in `folder`, oldest first, whether sound or not."""
    if not folder.is_dir():
        return []
    hidden = (TEMPORARY, DAMAGED)
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(hidden))


def set_aside(path: Path) -> Path:
    """Rename a checkpoint that cannot be used, so that it counts no more and a person can look at it."""
    aside = path.with_name(DAMAGED + path.name)
    while aside.exists():
        aside = aside.with_name(aside.name + "-again")
    path.rename(aside)
    return aside


def _next_number(folder: Path) -> int:
    """Above every number in use, those of damaged checkpoints included."""
    names = (path.name.removeprefix(DAMAGED) for path in folder.iterdir())
    return 1 + max((int(match[1]) for name in names if (match := _NAME.match(name))), default=0)


def _best(folder: Path, name: str, score: float | None) -> str | None:
    """The checkpoint with the highest score, the one about to be written as `name` included; the newer of equals."""
    scores = _scores(folder) + ([(score, name)] if score is not None else [])
    return max(scores)[1] if scores else None


def _scores(folder: Path) -> list[tuple[float, str]]:
    """(score, name) of every checkpoint that has one."""
    scores = []
    for name in checkpoint_names(folder):
        try:
            with reading(folder / name):
                score = _read_manifest(folder / name)["score"]
                if score is not None:
                    scores.append((float(score), name))
        except DataError:
            continue  # whether it is sound matters to whoever loads it
    return scores


def _read_manifest(path: Path) -> dict[str, Any]:
    """What `sign` signed."""
    manifest = json.loads(_read(path / MANIFEST))
    body = manifest["body"]
    if hashlib.sha256(body.encode()).hexdigest() != manifest["sha256"]:
        raise DataError(f"checkpoint {path}: {MANIFEST} fails its checksum")
    content: dict[str, Any] = json.loads(body)
    if content.get("format") != FORMAT:
        raise DataError(f"checkpoint {path} has format {content.get('format', 1)!r}; this version reads {FORMAT}")
    return content


def _read(path: Path, size: int | None = None) -> bytes:
    """A regular file's contents; of `size` bytes, where that is known."""
    if not path.is_file():
        raise DataError(f"checkpoint {path.parent}: {path.name} is missing")
    if size is not None and path.stat().st_size != size:
        raise DataError(f"checkpoint {path.parent}: {path.name} has {path.stat().st_size} bytes, not {size}")
    return path.read_bytes()


def _write(path: Path, data: bytes) -> None:
    with disk_errors(path), path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
