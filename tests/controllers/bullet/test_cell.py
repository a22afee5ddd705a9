"""The twin moved by Bullet, beside the same twin moved by MuJoCo."""

import dataclasses

import numpy as np
import pytest

import tasks
from controllers.exceptions import ArmLatched, SettingsError
from controllers.interface import Pose, PoseTarget
from controllers.twin import TwinCell
from robot_rl.envs import RobotEnv
from robot_rl.resets.scripted import FreshReset, ScriptedReset
from tests.controllers.twin.scenes import make_task

pytest.importorskip("pybullet", reason="pip install 'robot_rl[bullet]'")
from controllers.bullet.cell import BulletCell

PEG = tasks.load("peg_insert")


@pytest.fixture(scope="module")
def cells():
    made = (TwinCell(PEG, seed=3), BulletCell(PEG, seed=3))
    yield made
    for cell in made:
        cell.close()


def follow(cell, goals):
    cell.restart()
    cell.acquire("policy")
    reading = cell.read()
    for goal in goals:
        cell.command(PoseTarget(Pose(goal, PEG.start.quaternion), reading.tick))
        reading = cell.wait()
    return reading


def test_the_arm_holds_still_at_home(cells):
    bullet = cells[1]
    home = bullet.read().arm.pose.position
    reading = follow(bullet, [home] * 10)
    assert np.abs(reading.arm.pose.position - home).max() < 1e-4
    assert np.abs(reading.arm.dq).max() < 1e-3
    np.testing.assert_allclose(reading.arm.wrench, 0, atol=1e-6)


def test_a_free_motion_is_the_same_within_a_quarter_of_a_millimetre(cells):
    start = cells[0].read().arm.pose.position
    goals = [start + 0.02 * np.array([np.sin(k / 4), np.cos(k / 4) - 1, np.sin(k / 3)]) for k in range(20)]
    one, other = (follow(cell, goals).arm for cell in cells)
    assert np.abs(one.pose.position - start).max() > 0.01, "it moves"
    np.testing.assert_allclose(one.pose.position, other.pose.position, atol=2.5e-4)
    np.testing.assert_allclose(one.q, other.q, atol=2e-3)


def test_the_same_calls_give_the_same_bits(cells):
    start = cells[1].read().arm.pose.position
    goals = [start + np.array([0.0, 0.0, -0.004 * k]) for k in range(8)]
    first, second = (follow(cells[1], goals).arm.q for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_scenes_are_drawn_alike(cells):
    for seed in (5, 6):
        for cell in cells:
            cell.reset_scene(seed)
        one, other = (cell.read().sim["socket_position"] for cell in cells)
        np.testing.assert_array_equal(one, other)


def test_the_peg_rests_on_the_rim_pressing_with_what_the_law_allows(cells):
    pressed = []
    for cell in cells:
        cell.restart()
        cell.acquire("policy")
        reading = cell.read()
        beside = PEG.anchor.position + np.array([0.02, 0.0, 0.0])
        for height in np.linspace(0.09, 0.0, 25):
            goal = beside + np.array([0.0, 0.0, height])
            cell.command(PoseTarget(Pose(goal, PEG.anchor.quaternion), reading.tick))
            reading = cell.wait()
        pressed.append((reading.arm.wrench[2], reading.sim["peg_depth"][0]))
    assert pressed[1][0] == pytest.approx(pressed[0][0], abs=1.0)
    assert 5.0 < pressed[1][0] < 13.0
    assert abs(pressed[1][1]) < 1.5e-3, "the peg stands on the rim, not in it"


def test_the_expert_inserts_the_peg_and_nothing_cheats(cells):
    env = RobotEnv(PEG, cells[1], reset=FreshReset(ScriptedReset(PEG)))
    for seed in range(2):
        env.reset(seed=seed)
        expert, over = PEG.expert(PEG), False
        expert.reset(np.random.default_rng(seed))
        while not over:
            _, _, terminated, truncated, info = env.step(np.asarray(expert.act(env.reading), np.float32))
            over = terminated or truncated
        assert info["success"] and env.verified()


def test_a_cube_falls_as_fast_and_lies_still(tmp_path):
    scene = """<mujoco><worldbody><body name="cube" pos="0.6 0.2 0.3"><freejoint/>
      <inertial pos="0.002 0 0.001" mass="0.1" diaginertia="2e-5 2e-5 2e-5"/>
      <geom type="box" size="0.02 0.02 0.02" mass="0"/></body></worldbody></mujoco>"""
    task = make_task(tmp_path, scene, sim=lambda model, data: {"cube_position": data.body("cube").xpos.copy()})
    falls = []
    for kind in (TwinCell, BulletCell):
        cell = kind(task)
        cell.advance(150)
        falling = cell.read().sim["cube_position"]
        cell.advance(500)
        falls.append((falling, cell.read().sim["cube_position"]))
        cell.close()
    np.testing.assert_allclose(falls[0][0], falls[1][0], atol=1e-3)
    assert falls[1][1][2] == pytest.approx(falls[0][1][2], abs=1e-3)


def test_a_latched_arm_stays_latched(cells):
    bullet = cells[1]
    bullet.restart()
    bullet.acquire("policy")
    bullet.stop("somebody pressed stop")
    reading = bullet.wait()
    assert reading.safety == "latched"
    with pytest.raises(ArmLatched):
        bullet.command(PoseTarget(reading.arm.pose, reading.tick))
    bullet.recover()


def test_a_domain_is_refused():
    with pytest.raises(SettingsError, match="draws no domain"):
        BulletCell(PEG, domain=PEG.domain)


def test_without_pybullet_the_mend_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pybullet", None)
    with pytest.raises(SettingsError, match=r"pip install 'robot_rl\[bullet\]'"):
        BulletCell(dataclasses.replace(PEG))


def test_a_task_with_two_arms_is_refused():
    with pytest.raises(SettingsError, match="moves one arm, and task dual_arm_handover has two: use mujoco"):
        BulletCell(tasks.load("dual_arm_handover"))
