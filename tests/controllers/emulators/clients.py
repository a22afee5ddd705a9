"""What a client of the emulator is in these tests: pylibfranka, unmodified, with a soft hold as its law."""

from __future__ import annotations

import os

import numpy as np
import pylibfranka

HOME = np.array([0.0, 0.118, 0.0, -2.3937, 0.0, 2.5116, 0.7854])
ONTO_THE_SOCKET = np.array([0.02, 0.0, -0.075])
"""From the task's home to 1 cm below where the peg stands on the socket, m."""


def connect(address, control):
    """A robot without errors, whose load is known to it."""
    robot = pylibfranka.Robot(address, pylibfranka.RealtimeConfig.kIgnore)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))  # libfranka took the highest priority there is
    robot.automatic_error_recovery()
    load = control.about["payload"]
    robot.set_load(load["mass"], load["centre"], load["inertia"])
    robot.set_collision_behavior([40.0] * 7, [40.0] * 7, [80.0] * 6, [80.0] * 6)
    return robot


def pull(model, state, goal, stiffness=100.0):
    """Torque (7,) that pulls the joints towards `goal` (7,), no harder than 5 Nm."""
    spring = np.clip(stiffness * (goal - state.q) - 20.0 * np.array(state.dq), -5.0, 5.0)
    return np.array(model.coriolis(state)) + spring


def newest(robot):
    """The present state. After a pause the first read gives what filled the socket's buffer long ago."""
    robot.read_once()
    return robot.read_once()


def idle_torque(motion, cycles=3):
    """So many cycles of torque control without any torque."""
    for _ in range(cycles):
        motion.readOnce()
        motion.writeOnce(pylibfranka.Torques([0.0] * 7))


def hold(robot, cycles, goal=HOME, seen=None):
    """Torque control towards `goal` (7,) for so many cycles; `seen` collects the states. Returns the last one."""
    model, motion, start = robot.load_model(), robot.start_torque_control(), np.zeros(7)
    for count in range(cycles):
        state, _ = motion.readOnce()
        if seen is not None:
            seen.append(state)
        if count == 0:
            start = np.array(state.tau_J_d)
        torque = start + min(1.0, count / 100) * (pull(model, state, goal) - start)
        command = pylibfranka.Torques(torque.tolist())
        command.motion_finished = count == cycles - 1
        motion.writeOnce(command)
    return state


def lower(robot, cycles, by, seen=None):
    """The hand moves by `by` (3,), m in base, on a smooth straight path under Cartesian impedance of 1000 N/m."""
    robot.set_cartesian_impedance([1000.0] * 3 + [50.0] * 3)
    motion = robot.start_cartesian_pose_control(pylibfranka.ControllerMode.CartesianImpedance)
    state, _ = motion.readOnce()
    start = np.array(state.O_T_EE_c)
    for count in range(1, cycles + 1):
        phase = 2 * np.pi * count / cycles
        pose = start.copy()
        pose[12:15] += by * (phase - np.sin(phase)) / (2 * np.pi)
        command = pylibfranka.CartesianPose(pose.tolist())
        command.motion_finished = count == cycles
        motion.writeOnce(command)
        if count < cycles:
            state, _ = motion.readOnce()
        if seen is not None:
            seen.append(state)
    return state
