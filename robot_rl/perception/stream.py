"""Pictures from a process that renders them, a batch ahead of the training that uses them. No torch here."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from multiprocessing.connection import Connection

import numpy as np

import tasks
from robot_rl.exceptions import GraphError
from robot_rl.perception.scenes import Crew, Frames


@contextmanager
def stream(names: Sequence[str], seed: int, size: int, start: int, stop: int) -> Iterator[Iterator[Frames]]:
    """Batches `start` to `stop` of `Crew.batch`, from another process, which ends with the context.

    Raises `GraphError` while they are read where that process dies.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_render, args=(tuple(names), seed, size, start, stop, there), daemon=True)
    process.start()
    there.close()
    try:
        yield _receive(here, process, stop - start)
    finally:
        here.close()
        process.join(timeout=10)
        if process.is_alive():
            process.terminate()
            process.join()


def _receive(pipe: Connection, process: multiprocessing.process.BaseProcess, count: int) -> Iterator[Frames]:
    for _ in range(count):
        try:
            yield Frames(*(_array(pipe) for _ in fields(Frames)))
        except EOFError as error:
            process.join(timeout=10)
            raise GraphError(
                f"the process that renders has ended with code {process.exitcode}: run the same command again to go on"
            ) from error


def _array(pipe: Connection) -> np.ndarray:
    """One array: a line `dtype shape`, then its bytes."""
    kind, *shape = pipe.recv_bytes().decode().split()
    return np.frombuffer(bytearray(pipe.recv_bytes()), kind).reshape([int(length) for length in shape])


def _render(names: Sequence[str], seed: int, size: int, start: int, stop: int, pipe: Connection) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    crew = Crew([tasks.load(name) for name in names], seed)
    try:
        for index in range(start, stop):
            frames = crew.batch(index, size)
            for item in fields(Frames):
                array = getattr(frames, item.name)
                pipe.send_bytes(" ".join([array.dtype.str, *map(str, array.shape)]).encode())
                pipe.send_bytes(np.ascontiguousarray(array).data.cast("B"))
    except (BrokenPipeError, KeyboardInterrupt):
        pass  # whoever read has enough
    finally:
        crew.close()
