"""crisp_py's real client, in a process of its own, does what its examples do; says what it saw as JSON."""

import json
import os
import sys
import time

import numpy as np
from crisp_py.gripper.gripper import Gripper, make_gripper
from crisp_py.gripper.gripper_config import GripperConfig
from crisp_py.robot import Robot

CARTESIAN = "cartesian_impedance_controller"


def settle(robot, condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(condition())


def come_to_rest(robot):
    """A second and a half, and longer on a busy machine: until half a second moves the arm by less than 0.1 mm."""
    time.sleep(1.0)
    for _ in range(40):
        before = robot.end_effector_pose.position
        time.sleep(0.5)
        if np.linalg.norm(robot.end_effector_pose.position - before) < 1e-4:
            return


def still(robot):
    return np.linalg.norm(robot.end_effector_twist.linear) < 1e-3


def home(robot, seen):
    """To joint angles through the joint trajectory controller."""
    goal = robot.joint_values + np.array([0.15, 0.0, -0.1, 0.05, 0.0, 0.05, 0.1])
    robot.config.time_to_home = 1.0
    robot.config.home_config = goal.tolist()
    robot.home()
    seen["home error"] = float(np.abs(robot.joint_values - goal).max())


def move(robot, seen):
    """Along a line through the Cartesian controller."""
    robot.controller_switcher_client.switch_controller(CARTESIAN)
    seen["active"] = [c.name for c in robot.controller_switcher_client.get_controller_list() if c.state == "active"]
    goal = robot.end_effector_pose.position + np.array([0.03, -0.05, -0.03])
    robot.move_to(position=goal, speed=0.1)
    seen["moved"] = settle(robot, lambda: np.linalg.norm(robot.end_effector_pose.position - goal) < 0.003)


def push(robot, seen):
    """A wrench shifts the arm against its springs; softer springs give way more."""
    client = robot.cartesian_controller_parameters_client
    client.wait_until_ready()
    axes = [f"task.k_pos_{axis}" for axis in "xyz"]
    client.set_parameters([(axis, 600.0) for axis in axes])
    seen["stiffness"] = client.get_parameters(axes)
    settle(robot, lambda: still(robot))
    before = robot.end_effector_pose.position
    robot.set_target_wrench(force=[0.0, 3.0, 0.0])
    come_to_rest(robot)
    seen["pushed by 3 N at 600 N/m"] = (robot.end_effector_pose.position - before).tolist()
    robot.set_stiffness([300.0] * 3, [50.0] * 3)
    come_to_rest(robot)
    seen["at 300 N/m"] = (robot.end_effector_pose.position - before).tolist()
    robot.set_target_wrench()
    seen["and back"] = settle(robot, lambda: np.linalg.norm(robot.end_effector_pose.position - before) < 0.003)


def joints(robot, seen):
    """To joint angles through the joint impedance controller."""
    robot.controller_switcher_client.switch_controller("joint_impedance_controller")
    goal = robot.joint_values + np.array([0.1, 0.0, 0.0, 0.0, 0.0, 0.0, -0.1])
    robot.set_target_joint(goal)
    seen["joints reached"] = settle(robot, lambda: np.abs(robot.joint_values - goal).max() < 0.02)
    seen["joint error"] = float(np.abs(robot.joint_values - goal).max())


def refused(robot, seen):
    """A controller that there is not."""
    try:
        robot.controller_switcher_client.switch_controller("gravity_compensation")
    except RuntimeError as error:
        seen["refused"] = str(error)


def grip(gripper, seen, name):
    gripper.wait_until_ready(timeout=90.0)
    gripper.close()
    closed = settle(gripper, lambda: gripper.value < 0.05)
    gripper.open()
    seen[name] = [closed, settle(gripper, lambda: gripper.value > 0.95)]


def gripper_by_topic(robot, seen):
    """crisp's own configuration of the Franka hand."""
    grip(make_gripper("gripper_franka"), seen, "gripper by topic")


def gripper_by_action(robot, seen):
    """As franka_ros2 has it: metres of one finger."""
    place = f"{robot.node.get_namespace().rstrip('/')}/franka_gripper"
    config = GripperConfig(0.0, 0.04, f"{place}/gripper_action", f"{place}/joint_states", max_delta=1.0)
    config.use_gripper_command_action = True
    grip(Gripper(gripper_config=config), seen, "gripper by action")


def unasked(robot, seen):
    """Targets before any controller is active."""
    before = robot.end_effector_pose.position
    robot.set_target(position=before + np.array([0.05, 0.0, 0.0]))
    time.sleep(0.5)
    seen["moved unasked"] = float(np.linalg.norm(robot.end_effector_pose.position - before))


def main():
    seen = {}
    robot = Robot(namespace=sys.argv[1])
    robot.wait_until_ready(timeout=90.0)
    for act in sys.argv[2:]:
        globals()[act](robot, seen)
    print(json.dumps(seen), flush=True)
    os._exit(0)  # the client's own threads still spin, and may crash an interpreter that takes itself down


if __name__ == "__main__":
    main()
