"""Layouts of the wire protocol."""

import numpy as np
import pytest

from controllers.emulators import wire


def test_sizes_are_the_protocol_s():
    assert wire.STATE.itemsize == 1377
    assert wire.COMMAND.itemsize == 371
    assert wire.GRIPPER_STATE.size == 4 + 8 + 8 + 1 + 2
    assert len(wire.ERRORS) == 41


@pytest.mark.parametrize("name, offset", [("message_id", 0), ("O_T_EE", 8), ("motion_generator_mode", 1288)])
def test_fields_follow_one_another_without_gaps(name, offset):
    assert wire.STATE.fields[name][1] == offset


def test_packed_bytes_read_back_as_they_were_written():
    measured = np.zeros(1, wire.MEASURED)
    rng = np.random.default_rng(0)
    for name in wire.MEASURED.names:
        measured[name] = rng.normal(size=measured[name].shape)
    packer = wire.Packer(measured)
    packer.flags["errors"][32] = 1
    packer.flags["robot_mode"] = wire.Mode.REFLEX
    state = np.frombuffer(packer.pack(2**40 + 7), wire.STATE)[0]
    assert state["message_id"] == 2**40 + 7
    assert state["robot_mode"] == 4
    assert np.flatnonzero(state["errors"]).tolist() == [32]
    for name in wire.MEASURED.names:
        np.testing.assert_array_equal(state[name], measured[name][0].astype("f4"))
