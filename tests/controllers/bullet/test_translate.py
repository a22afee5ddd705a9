"""What Bullet is told of a scene, beside MuJoCo's own numbers."""

import dataclasses

import mujoco
import numpy as np
import pytest

import tasks
from controllers.exceptions import SceneError
from controllers.twin.compose import compose
from tests.controllers.twin.scenes import make_task

pybullet = pytest.importorskip("pybullet", reason="pip install 'robot_rl[bullet]'")
from controllers.bullet.translate import HINGE, SLIDE, Translator  # noqa: E402


@pytest.fixture
def client():
    number = pybullet.connect(pybullet.DIRECT)
    yield number
    pybullet.disconnect(number)


@pytest.mark.parametrize("name", ["peg_insert", "pick_cube", "drawer"])
def test_every_link_is_where_mujoco_has_its_body_at_any_joint_angles(client, name):
    model = compose(tasks.load(name), shapes=False)
    data, rng, compared = mujoco.MjData(model), np.random.default_rng(0), 0
    trees = Translator(pybullet, client, model, name).trees()
    for joint in range(model.njnt):
        if model.jnt_type[joint] in (SLIDE, HINGE):
            reach = 0.01 if model.jnt_type[joint] == SLIDE else 0.5
            data.qpos[model.jnt_qposadr[joint]] += rng.uniform(-reach, reach)
    mujoco.mj_forward(model, data)
    for tree in trees:
        for link, joint in enumerate(tree.joints):
            if joint >= 0:
                place = model.jnt_qposadr[joint]
                pybullet.resetJointState(
                    tree.number, link, data.qpos[place] - model.qpos0[place], physicsClientId=client
                )
        for link, body in enumerate(tree.bodies):
            if body >= 0 and model.body_mass[body] > 0:
                state = pybullet.getLinkState(tree.number, link, computeForwardKinematics=1, physicsClientId=client)
                np.testing.assert_allclose(state[0], data.xipos[body], atol=1e-6)
                mass = pybullet.getDynamicsInfo(tree.number, link, physicsClientId=client)[0]
                assert mass == pytest.approx(model.body_mass[body], rel=1e-6)
                compared += 1
    assert compared >= 10


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        (
            '<body name="b" pos="0 0 1"><joint type="ball"/><geom size="0.1"/></body>',
            "is a ball: use slides and hinges",
        ),
        ('<geom name="egg" type="ellipsoid" size="0.1 0.1 0.2" pos="0.5 0 0.5"/>', "geom egg of test is a ellipsoid"),
    ],
)
def test_what_bullet_has_not_is_named(tmp_path, client, scene, words):
    task = make_task(tmp_path, f"<mujoco><worldbody>{scene}</worldbody></mujoco>")
    model = compose(dataclasses.replace(task, cameras=()), shapes=False)
    with pytest.raises(SceneError, match=words):
        Translator(pybullet, client, model, "test").trees()


def test_equalities_are_refused(tmp_path, client):
    scene = """<mujoco><worldbody>
      <body name="a" pos="0 0 1"><joint type="slide"/><geom size="0.1"/></body>
      <body name="b" pos="0 1 1"><joint type="slide"/><geom size="0.1"/></body>
    </worldbody><equality><weld body1="a" body2="b"/></equality></mujoco>"""
    model = compose(make_task(tmp_path, scene), shapes=False)
    with pytest.raises(SceneError, match="1 equality constraints, which Bullet has not: use mujoco"):
        Translator(pybullet, client, model, "test")
