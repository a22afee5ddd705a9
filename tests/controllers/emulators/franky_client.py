"""A program that moves a Franka with franky and prints what came of it as JSON.

It is one of its own because franky and pylibfranka cannot be imported together:
python -m tests.controllers.emulators.franky_client SCENARIO ADDRESS
"""

import json
import sys
import time

import franky
import numpy as np

HOME = np.array([0.0, 0.118, 0.0, -2.3937, 0.0, 2.5116, 0.7854])
LOAD = (0.082, [0.0, 0.0, 0.1154], [2e-5, 0, 0, 0, 2e-5, 0, 0, 0, 3e-6])
DOWN_ONTO_THE_SOCKET = franky.Affine([0.0, -0.02, 0.075])
"""In the hand's axes: z looks down, y back."""


def place(robot):
    return np.array(robot.state.O_T_EE.translation)


def joint(robot):
    goal = HOME + np.array([0.1, -0.1, 0.05, 0.1, 0.0, 0.0, 0.1])
    robot.move(franky.JointMotion(goal))
    return {"missed": (robot.state.q - goal).tolist()}


def cartesian(robot):
    start, turn = place(robot), np.array(robot.state.O_T_EE.matrix)[:3, :3]
    way = np.array([0.03, 0.02, -0.04])
    robot.move(franky.CartesianMotion(franky.Affine(way), franky.ReferenceType.Relative))
    return {"missed": (place(robot) - start - turn @ way).tolist()}


def velocity(robot):
    start = place(robot)
    twist = franky.Twist([0.0, 0.0, 0.03], [0.0, 0.0, 0.0])
    robot.move(franky.CartesianVelocityMotion(twist, duration=franky.Duration(400)))
    robot.move(franky.CartesianVelocityStopMotion())
    rose = place(robot)[2] - start[2]
    robot.move(franky.JointVelocityMotion([0.1, 0, 0, 0, 0, 0, 0], duration=franky.Duration(400)))
    robot.move(franky.JointVelocityStopMotion())
    return {"rose": rose, "turned": robot.state.q[0], "speed": np.abs(robot.state.dq).max()}


def impedance(robot):
    goal, limit = HOME + 0.03, time.monotonic() + 20.0
    robot.move(franky.JointImpedanceMotion(goal), asynchronous=True)
    while np.abs(robot.state.q - goal).max() > 0.01 and time.monotonic() < limit:
        time.sleep(0.01)
    missed = (robot.state.q - goal).tolist()
    robot.stop()
    try:
        robot.join_motion()
    except franky.ControlException as error:
        return {"missed": missed, "ended": str(error)}
    return {"missed": missed, "ended": ""}


def collision(robot):
    robot.set_collision_behavior(40.0, 5.0)
    try:
        robot.move(franky.CartesianMotion(DOWN_ONTO_THE_SOCKET, franky.ReferenceType.Relative))
        ended = ""
    except franky.ControlException as error:
        ended = str(error)
    had, recovered = robot.has_errors, robot.recover_from_errors()
    robot.set_collision_behavior(40.0, 60.0)
    robot.move(franky.CartesianMotion(franky.Affine([0.0, 0.0, -0.02]), franky.ReferenceType.Relative))
    return {"ended": ended, "had": had, "recovered": recovered, "has": robot.has_errors}


def hand(address):
    gripper = franky.Gripper(address)
    moved = gripper.move_async(0.05, 0.1)
    ended = moved.wait(10.0)
    held = gripper.grasp(0.0175, 0.1, 20.0, 0.002, 0.002)
    return {"ended": ended, "moved": moved.get(), "held": held, "grasped": gripper.is_grasped}


def main(scenario, address):
    if scenario == "hand":
        return hand(address)
    robot = franky.Robot(address, realtime_config=franky.RealtimeConfig.Ignore)
    robot.relative_dynamics_factor = 0.15  # more, and the joints would exceed their jerk on straight ways
    robot.recover_from_errors()
    robot.set_load(*LOAD)
    robot.set_collision_behavior(40.0, 60.0)
    return globals()[scenario](robot)


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
