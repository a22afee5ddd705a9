"""Checkpoints: folders of safetensors and JSON that are either whole or not there.

A checkpoint is written under a temporary name, flushed to disk, and renamed. `manifest.json` holds a checksum of
every other file and of itself, so damage is seen at loading, where the checkpoint before is used instead.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.numpy
from numpy.typing import NDArray

from robot_rl.exceptions import DataError

MANIFEST = "manifest.json"
TEMPORARY = ".writing-"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """files: raw contents by name; state: the JSON part. The checksums of all of it have been verified."""

    path: Path
    files: Mapping[str, bytes]
    state: dict[str, Any]

    def arrays(self, name: str) -> dict[str, NDArray]:
        """The named arrays of a safetensors file."""
        return safetensors.numpy.load(self.files[name])


def save_checkpoint(
    folder: Path, name: str, files: Mapping[str, bytes | dict[str, NDArray]], state: Mapping[str, Any], keep: int = 3
) -> Path:
    """Write checkpoint `name` into `folder`; afterwards only the last `keep` names remain, in sorted order.

    files: bytes, or named arrays, which become safetensors. state: anything JSON can hold.
    """
    final = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{TEMPORARY}*"):
        shutil.rmtree(leftover)
    temporary = folder / f"{TEMPORARY}{name}"
    temporary.mkdir()
    digests = {}
    for file, content in files.items():
        data = content if isinstance(content, bytes) else safetensors.numpy.save(content)
        digests[file] = hashlib.sha256(data).hexdigest()
        _write(temporary / file, data)
    body = json.dumps({"files": digests, "state": state}, sort_keys=True)
    manifest = {"sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body}
    _write(temporary / MANIFEST, json.dumps(manifest).encode())
    _flush(temporary)
    if final.exists():
        shutil.rmtree(final)
    temporary.rename(final)
    _flush(folder)
    for old in checkpoint_names(folder)[:-keep]:
        shutil.rmtree(folder / old)
    return final


def read_checkpoint(path: Path, only: Collection[str] | None = None) -> Checkpoint:
    """One checkpoint; `only`: with these files alone. DataError: a file is missing or fails its checksum."""
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        body = manifest["body"]
        if hashlib.sha256(body.encode()).hexdigest() != manifest["sha256"]:
            raise DataError(f"checkpoint {path}: {MANIFEST} fails its checksum; remove the folder")
        content = json.loads(body)
        files = {}
        for file, digest in content["files"].items():
            if only is not None and file not in only:
                continue
            files[file] = (path / file).read_bytes()
            if hashlib.sha256(files[file]).hexdigest() != digest:
                raise DataError(f"checkpoint {path}: {file} fails its checksum; remove the folder")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"checkpoint {path} is damaged ({error}); remove the folder") from error
    return Checkpoint(path, files, content["state"])


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
        raise DataError(f"every checkpoint in {folder} is damaged ({', '.join(names)}); start a new run")
    return None


def checkpoint_names(folder: Path) -> list[str]:
    """The checkpoints in `folder`, oldest first, whether sound or not."""
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(TEMPORARY))


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush(folder: Path) -> None:
    """Make the folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
