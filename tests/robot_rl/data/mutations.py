"""What may happen to bytes on a disk or on the way, and a guard against code that runs while they are read."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

HOSTILE = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1]
"""Lengths and counts that a reader may trust too much."""


def mutate(rng: np.random.Generator, data: bytes) -> bytes:
    """`data` damaged in one to three ways: never the same bytes."""
    out = data
    for _ in range(rng.integers(1, 4)):
        out = _KINDS[rng.integers(len(_KINDS))](rng, out) or b"\0"
    return out if out != data else data[:-1] + bytes([data[-1] ^ 1])


def _truncate(rng: np.random.Generator, data: bytes) -> bytes:
    return data[: rng.integers(len(data))]


def _flip(rng: np.random.Generator, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        out[rng.integers(len(out))] ^= 1 << int(rng.integers(8))
    return bytes(out)


def _number(rng: np.random.Generator, data: bytes) -> bytes:
    """A hostile number where another may have stood."""
    width = int(rng.choice([1, 2, 4, 8]))
    value = HOSTILE[rng.integers(len(HOSTILE))] % 2 ** (8 * width)
    at = int(rng.integers(len(data)))
    return data[:at] + value.to_bytes(width, rng.choice(["little", "big"])) + data[at + width :]


def _delete(rng: np.random.Generator, data: bytes) -> bytes:
    start = int(rng.integers(len(data)))
    return data[:start] + data[start + int(rng.integers(1, 200)) :]


def _repeat(rng: np.random.Generator, data: bytes) -> bytes:
    start = int(rng.integers(len(data)))
    return data[:start] + data[start : start + int(rng.integers(1, 500))] + data[start:]


def _zero(rng: np.random.Generator, data: bytes) -> bytes:
    start = int(rng.integers(len(data)))
    size = min(int(rng.integers(1, 500)), len(data) - start)
    return data[:start] + bytes(size) + data[start + size :]


def _insert(rng: np.random.Generator, data: bytes) -> bytes:
    at = int(rng.integers(len(data)))
    return data[:at] + rng.bytes(int(rng.integers(1, 50))) + data[at:]


_KINDS = (_truncate, _flip, _number, _delete, _repeat, _zero, _insert)


def sealed(message: bytes) -> bytes:
    """A record's message with a checksum that is right: what somebody sends who means harm."""
    body = message[: max(len(message) - 4, 0) // 4 * 4]
    return body + struct.pack("<I", zlib.crc32(body))


_watching = False
_FORBIDDEN = ("exec", "compile", "pickle.find_class", "marshal.loads", "os.system", "subprocess.Popen", "os.exec")


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event in _FORBIDDEN:
        raise AssertionError(f"{event} {arguments} while data was read")


sys.addaudithook(_audit)


@contextmanager
def no_code_runs() -> Iterator[None]:
    """Fail where the interpreter compiles, executes or unpickles something within the block."""
    global _watching
    _watching = True
    try:
        yield
    finally:
        _watching = False
