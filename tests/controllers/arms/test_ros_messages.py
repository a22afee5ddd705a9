import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

pytest.importorskip("rclpy")

from controllers.arms import ros_messages as messages
from controllers.interface import ArmState, GripperState, Pose, Reading

JOINTS = tuple(f"joint{i}" for i in range(7))
numbers = st.floats(-1e6, 1e6)


AT_REST = ArmState(
    *[np.zeros(7)] * 3, Pose(np.zeros(3), np.zeros(4)), *[np.zeros(6)] * 2, Pose(np.ones(3), np.ones(4)), 0.0
)


def vector(size):
    return arrays(np.float64, size, elements=numbers)


poses = st.builds(Pose, vector(3), vector(4))
arms = st.builds(ArmState, vector(7), vector(7), vector(7), poses, vector(6), vector(6), poses, st.just(0.0))
sims = st.dictionaries(
    st.sampled_from(["depth", "socket", "peak_force"]), vector(()) | vector(1) | vector(3) | vector(12)
)
readings = st.builds(
    Reading,
    tick=st.just(3),
    stamp=st.just(0.3),
    arm=arms,
    gripper=st.none() | st.builds(GripperState, numbers, st.booleans()),
    sim=sims,
    safety=st.sampled_from(["hold", "track", "latched"]),
    reason=st.sampled_from(["", "stop requested"]),
)


@given(readings)
def test_a_reading_survives_its_messages_bit_for_bit(reading):
    sent = messages.arm_messages(reading, 300_000_000, JOINTS)
    back = messages.reading_from(sent, 3, 0.3)
    for name in ("q", "dq", "tau", "twist", "wrench"):
        np.testing.assert_array_equal(getattr(back.arm, name), getattr(reading.arm, name))
    for name in ("pose", "reference"):
        for part in ("position", "quaternion"):
            np.testing.assert_array_equal(
                getattr(getattr(back.arm, name), part), getattr(getattr(reading.arm, name), part)
            )
    assert back.gripper == reading.gripper
    assert set(back.sim) == set(reading.sim)
    for name, value in reading.sim.items():
        assert np.shape(back.sim[name]) == np.shape(value)
        np.testing.assert_array_equal(back.sim[name], value)
    assert (back.safety, back.reason, back.tick, back.stamp) == (reading.safety, reading.reason, 3, 0.3)


def test_every_message_of_a_tick_carries_its_stamp():
    arm = ArmState(
        *[np.zeros(7)] * 3, Pose(np.zeros(3), np.zeros(4)), *[np.zeros(6)] * 2, Pose(np.ones(3), np.ones(4)), 0
    )
    sent = messages.arm_messages(
        Reading(1, 0.1, arm, GripperState(0.04, True), sim={"d": np.zeros(2)}), 1_000_000_007, JOINTS
    )
    assert set(sent) == {*messages.ARM_TOPICS, messages.GRIPPER_TOPIC, messages.SIM_TOPIC}
    assert {(m.header.stamp.sec, m.header.stamp.nanosec) for m in sent.values()} == {(1, 7)}
    assert sent["joint_states"].name == list(JOINTS)
    assert sent["current_pose"].header.frame_id == "base"


def test_a_latch_is_an_error_for_monitors():
    arm = ArmState(
        *[np.zeros(7)] * 3, Pose(np.zeros(3), np.zeros(4)), *[np.zeros(6)] * 2, Pose(np.ones(3), np.ones(4)), 0
    )
    status = messages.arm_messages(Reading(1, 0.1, arm, safety="latched", reason="reflex"), 0, JOINTS)["safety"].status[
        0
    ]
    assert status.level == b"\x02"
    assert (status.message, status.values[0].value) == ("latched", "reflex")


def test_an_image_survives_its_message():
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    message = messages.image_message(image, "wrist", 5)
    assert (message.height, message.width, message.step, message.encoding) == (48, 64, 192, "rgb8")
    np.testing.assert_array_equal(messages.image_from(message), image)


def test_camera_info_has_the_focal_length_of_the_opening_angle():
    info = messages.camera_info("wrist", 128, 96, np.deg2rad(90.0), 5)
    assert info.k[0] == info.k[4] == pytest.approx(48.0)
    assert (info.k[2], info.k[5]) == (64.0, 48.0)
    assert info.header.frame_id == "wrist_optical_frame"
