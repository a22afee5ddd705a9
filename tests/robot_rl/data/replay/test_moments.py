import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from robot_rl.data.replay.moments import HEADER, Moments
from robot_rl.exceptions import DataError, RunFolderError
from robot_rl.nets.observation import ObservationSpec
from tests.robot_rl.data.replay.truth import SPEC, moment


def on_disk(path, count=20, spec=SPEC):
    store = Moments(spec, 0, path)
    slots = np.array([store.add(moment(number))[0] for number in range(count)], np.int32)
    store.hold(slots.tolist())
    return store, slots


def restored(path, saved, slots, spec=SPEC):
    store = Moments(spec, 0, path)
    try:
        store.restore(*saved, slots)
    except DataError:
        store.close()
        raise
    return store


def test_an_observation_with_a_slash_in_a_name_has_a_file(tmp_path):
    store, _ = on_disk(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {
        "pose.rows", "sim%2Fgoal.rows", "front.rows", "wrist.rows", "wrist_features.rows", "seals.crc32", HEADER,
    }  # fmt: skip
    store.close()


def test_same_is_to_the_bit(tmp_path):
    store, slots = on_disk(tmp_path, 2)
    changed = moment(1)
    changed["front"][1, 1, 0] ^= 1
    assert store.same(slots[1], moment(1)) and not store.same(slots[1], changed) and not store.same(slots[0], moment(1))
    store.close()


def test_moments_that_were_overwritten_since_the_save_are_noticed(tmp_path):
    store, slots = on_disk(tmp_path)
    saved, _ = store.save(slots)
    for _ in range(4):
        store.save(slots)
    store.drop([int(slots[3])])
    for _ in range(4):
        store.save(slots[:3])
    assert store.add(moment(100), moment(101))  # one of them where moment 3 was
    store.close()
    with pytest.raises(DataError, match="1 of the saved moments were overwritten"):
        restored(tmp_path, saved, slots)


def test_damage_to_the_newest_moments_is_noticed(tmp_path):
    store, slots = on_disk(tmp_path)
    saved, _ = store.save(slots)
    store.close()
    restored(tmp_path, saved, slots).close()
    with (tmp_path / "wrist.rows").open("r+b") as file:
        file.seek(18 * 6)
        byte = file.read(1)
        file.seek(18 * 6)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(DataError, match="moment 18 does not match its checksum"):
        restored(tmp_path, saved, slots)


def test_files_that_are_too_short_or_missing_are_noticed(tmp_path):
    store, slots = on_disk(tmp_path)
    saved, _ = store.save(slots)
    store.close()
    os.truncate(tmp_path / "front.rows", 4 * 7)
    with pytest.raises(DataError, match="holds 7 moments, but 20 were saved"):
        restored(tmp_path, saved, slots)
    (tmp_path / "front.rows").unlink()
    with pytest.raises(DataError, match="front.rows does not open"):
        restored(tmp_path, saved, slots)


def test_a_folder_of_other_observations_or_none_is_refused(tmp_path):
    store, slots = on_disk(tmp_path / "a")
    saved, _ = store.save(slots)
    store.close()
    for path, spec in ((tmp_path / "a", ObservationSpec((("pose", 3),))), (tmp_path / "b", SPEC)):
        with pytest.raises(DataError, match="holds no replay of these observations"):
            restored(path, saved, slots, spec)
    in_memory = Moments(SPEC, 30, None)
    in_memory.hold(in_memory.add(moment(0)))
    with pytest.raises(DataError, match="does not lie on disk"):
        restored(tmp_path / "a", in_memory.save(np.array([0], np.int32))[0], slots[:1])
    with pytest.raises(DataError, match="the saved replay shows"):
        Moments(SPEC, 30, None).restore(*saved, slots)


def test_a_folder_has_one_user_at_a_time(tmp_path):
    store, _ = on_disk(tmp_path)
    other = Moments(SPEC, 0, tmp_path)
    with pytest.raises(RunFolderError, match="used by another learner"):
        other.add(moment(0))
    store.close()
    other.add(moment(0))
    other.close()


def test_a_full_disk_leaves_what_there_was(tmp_path, monkeypatch):
    store, slots = on_disk(tmp_path, 3)

    def full(file, data, at):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DataError, match="No space left"):
        store.add(moment(3), moment(4))
    monkeypatch.undo()
    assert all(store.same(int(slot), moment(number)) for number, slot in enumerate(slots))
    assert store.add(moment(3)) == (3,)
    store.close()


WRITE_UNTIL_KILLED = """
import sys, os, signal
from pathlib import Path
import numpy as np
from robot_rl.data.replay.moments import Moments
from tests.robot_rl.data.replay.truth import SPEC, moment
store = Moments(SPEC, 0, Path(sys.argv[1]))
slots = np.array([store.add(moment(number))[0] for number in range(50)], np.int32)
store.hold(slots.tolist())
(arrays, state), _ = store.save(slots)
np.savez(sys.argv[2], **arrays)
print(state["used"], state["saves"], flush=True)
for number in range(50, 90):
    store.hold(store.add(moment(number)))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_saved_outlives_its_process(tmp_path):
    command = [sys.executable, "-c", WRITE_UNTIL_KILLED, str(tmp_path / "replay"), str(tmp_path / "arrays.npz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == -9, done.stderr
    used, saves = map(int, done.stdout.split())
    with np.load(tmp_path / "arrays.npz") as arrays:
        saved = (dict(arrays), {"used": used, "saves": saves})
    slots = np.arange(50, dtype=np.int32)
    store = restored(tmp_path / "replay", saved, slots)
    assert all(store.same(int(slot), moment(number)) for number, slot in enumerate(slots))
    store.close()
