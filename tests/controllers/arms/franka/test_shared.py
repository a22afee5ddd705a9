import multiprocessing
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from controllers.arms.franka import shared
from controllers.arms.franka.shared import Memory
from controllers.exceptions import CellTimeout, ControllersError


def test_two_maps_of_one_block_see_the_same():
    ours = Memory()
    theirs = Memory(ours.fd)
    value = np.zeros(1, shared.STATE)
    value["q"], value["reason"] = 1.5, b"why"
    ours.state.write(value)
    seen = theirs.state.read()
    assert (seen["q"] == 1.5).all()
    assert shared.text_of(seen["reason"]) == "why"
    ours.close()


def _write_for_ever(fd):
    memory, value, count = Memory(fd), np.zeros(1, shared.STATE), 0
    while True:
        count += 1
        value["q"], value["wrench"], value["cycles"] = count, -count, count
        memory.state.write(value)
        time.sleep(0.0)


def test_a_reader_never_sees_half_a_state_while_another_process_writes():
    memory = Memory()
    writer = multiprocessing.get_context("fork").Process(target=_write_for_ever, args=(memory.fd,), daemon=True)
    writer.start()
    try:
        seen = set()
        while len(seen) < 100:
            row = memory.state.read()
            count = int(row["cycles"])
            assert (row["q"] == count).all()
            assert (row["wrench"] == -count).all()
            seen.add(count)
    finally:
        writer.kill()
        writer.join()
        memory.close()


def test_a_writer_that_died_halfway_is_reported_and_mended():
    memory = Memory()
    lock = memory.state._lock
    lock[0] += 1
    with pytest.raises(CellTimeout, match="ended while it wrote"):
        memory.state.read(patience=0.01)
    memory.state.repair()
    memory.state.read(patience=0.01)
    memory.close()


def test_memory_has_no_name_that_could_be_left_behind():
    memory = Memory()
    assert str(Path(f"/proc/self/fd/{memory.fd}").readlink()).startswith("/memfd:franka")
    memory.close()


def test_text_is_cut_not_refused():
    assert shared.text_of(shared.bytes_of("é" * 300)).startswith("é" * 127)


def test_readers_in_threads_do_not_disturb_each_other():
    memory, errors = Memory(), []

    def read():
        try:
            for _ in range(500):
                memory.state.read()
        except ControllersError as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    value = np.zeros(1, shared.STATE)
    for _ in range(500):
        memory.state.write(value)
    for thread in threads:
        thread.join()
    assert not errors
    memory.close()
