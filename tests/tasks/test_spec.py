from dataclasses import replace

import numpy as np
import pytest

import tasks
from controllers.exceptions import ControllersError
from controllers.models import MODELS, arm_model
from controllers.twin import TwinCell
from robot_rl.envs.make import make_env


@pytest.mark.parametrize("arm", MODELS)
@pytest.mark.parametrize("name", tasks.names())
def test_another_arm_starts_the_task_at_the_same_pose(name, arm):
    task = tasks.load(name).on(arm)
    assert (task.name, task.arm) == (name, arm)
    cell = TwinCell(task)
    reading = cell.read().arm
    assert reading.q.shape == (len(arm_model(arm).joints),)
    assert cell.joint_names == arm_model(arm).joint_names()
    np.testing.assert_allclose(reading.pose.position, task.start.position, atol=0.03)
    assert abs(reading.pose.quaternion @ task.start.quaternion) == pytest.approx(1.0, abs=1e-3)


def test_gains_are_bounded_by_what_the_arm_allows():
    task = tasks.load("peg_insert")
    stiff = replace(task, gains=replace(task.gains, stiffness=np.full(6, 1e4), damping=np.full(6, 1e4)))
    moved, limits = stiff.on("ur5e"), arm_model("ur5e").limits
    np.testing.assert_array_equal(moved.gains.stiffness, np.repeat(limits.stiffness, 3))
    np.testing.assert_array_equal(moved.gains.damping, np.repeat(limits.damping, 3))
    np.testing.assert_array_equal(task.on("ur5e").gains.stiffness, task.gains.stiffness)


def test_a_task_on_its_own_arm_is_itself():
    task = tasks.load("reach")
    assert task.on("fr3") is task


def test_an_arm_that_is_not_there_or_cannot_reach_is_refused():
    task = tasks.load("reach")
    with pytest.raises(ControllersError, match="no arm 'iiwa'; choose one of fr3, panda, ur5e"):
        task.on("iiwa")
    far = replace(task, start=replace(task.start, position=np.array([1.4, 0.0, 0.2])))
    with pytest.raises(ControllersError, match="ur5e cannot reach"):
        far.on("ur5e")


@pytest.mark.parametrize("arm", ["ur5e", "panda"])
def test_the_expert_inserts_the_peg_with_another_arm(arm):
    task, successes = tasks.load("peg_insert").on(arm), 0
    env = make_env(task, fresh=True)
    for seed in range(20):
        env.reset(seed=seed)
        expert, over = task.expert(task), False
        expert.reset(np.random.default_rng(seed))
        while not over:
            _, _, terminated, truncated, info = env.step(np.asarray(expert.act(env.reading), np.float32))
            over = terminated or truncated
        successes += info["success"] and task.verify(env.reading)
    env.close()
    assert successes >= 18


def test_a_task_and_its_reverse_undo_each_other():
    pairs = {name: tasks.load(name).reverse for name in tasks.names() if tasks.load(name).reverse}
    assert pairs["relocate"] == "relocate_back"
    for name, back in pairs.items():
        assert back != name
        assert pairs.get(back) == name, f"{back} does not name {name} as its reverse"
