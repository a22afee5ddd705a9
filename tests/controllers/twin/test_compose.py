from __future__ import annotations

import mujoco
import numpy as np
import pytest

from controllers.exceptions import SceneError
from controllers.models import arm_model
from controllers.twin import TwinCell
from controllers.twin.compose import compose
from tasks.spec import CameraSpec, GripperSpec
from tests.controllers.twin.scenes import EMPTY, PEG, PLATE, make_task


def test_scene_keeps_its_names_and_the_arm_comes_first(tmp_path):
    model = compose(make_task(tmp_path, PLATE))
    assert [model.joint(i).name for i in range(7)] == list(arm_model("fr3").joint_names())
    assert model.body("plate").mocapid[0] >= 0
    assert model.body_parentid[model.body("plate").id] == 0
    assert {"wrist", "front"} <= {model.camera(i).name for i in range(model.ncam)}


def test_grasped_body_hangs_on_the_tool_point(tmp_path):
    model = compose(make_task(tmp_path, PEG))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    assert np.allclose(data.body("grasped").xpos, data.site("tool").xpos)
    assert np.allclose(data.body("grasped").xmat, data.site("tool").xmat)
    assert model.joint("give").dofadr[0] == 7
    assert model.body_parentid[model.body("plate").id] == 0


def test_contact_rules_between_grasped_and_scene_survive(tmp_path):
    model = compose(make_task(tmp_path, PEG))
    first, second = sorted((model.body("grasped").id, model.body("marker").id))
    assert (first << 16) + second in model.exclude_signature


def test_without_a_gripper_the_fingers_are_welded_at_the_scenes_width(tmp_path):
    scene = EMPTY.replace("<worldbody/>", '<custom><numeric name="finger_width" data="0.03"/></custom><worldbody/>')
    model = compose(make_task(tmp_path, scene))
    assert (model.nv, model.nu) == (7, 0)
    left, right = model.body("fr3_left_finger").pos, model.body("fr3_right_finger").pos
    assert np.allclose(left - right, [0, 0.03, 0])


def test_with_a_gripper_the_fingers_slide(tmp_path):
    model = compose(make_task(tmp_path, gripper=GripperSpec()))
    assert (model.nv, model.nu) == (9, 2)


def test_edit_changes_the_scene_before_it_compiles(tmp_path):
    def edit(spec):
        spec.geom("plate").size = [0.02, 0.02, 0.02]

    model = compose(make_task(tmp_path, PLATE, edit=edit))
    assert np.allclose(model.geom("plate").size, 0.02)


@pytest.mark.parametrize(
    ("scene", "changes", "words"),
    [
        ("<mujoco><worldbody><body/></worldbody", {}, "cannot be read"),
        ('<mujoco><worldbody><geom type="torus"/></worldbody></mujoco>', {}, "torus"),
        ("<mujoco><worldbody><body><freejoint/></body></worldbody></mujoco>", {}, "mass and inertia"),
        (EMPTY, {"cameras": (CameraSpec("side"),)}, "'side'"),
        (EMPTY, {"home": np.zeros(6)}, r"\(6,\)"),
        (EMPTY, {"edit": lambda spec: spec.body("nothing").pos}, "does not compile"),
    ],
)
def test_a_scene_that_does_not_work_is_one_clear_error(tmp_path, scene, changes, words):
    with pytest.raises(SceneError, match=words) as caught:
        compose(make_task(tmp_path, scene, **changes))
    assert "\n" not in str(caught.value)


def test_a_scene_that_does_not_exist_is_named(tmp_path):
    task = make_task(tmp_path)
    task.scene.unlink()
    with pytest.raises(SceneError, match=r"scene.xml does not exist"):
        compose(task)


PAIR = """
<mujoco>
  <worldbody>
    <body name="plate" pos="0.45 0 0.2">
      <geom name="plate" type="box" size="0.1 0.1 0.01" contype="0" conaffinity="0"/>
    </body>
    <body name="grasped">
      <geom name="peg" type="capsule" size="0.008" fromto="0 0 0 0 0 0.03" mass="0.1" contype="0" conaffinity="0"/>
    </body>
  </worldbody>
  <contact><pair geom1="peg" geom2="plate" condim="4" friction="0.7 0.6 0.01 0.002 0.003" margin="0.002"/></contact>
</mujoco>
"""


def test_an_explicit_pair_between_grasped_and_scene_survives_with_its_numbers(tmp_path):
    model = compose(make_task(tmp_path, PAIR))
    assert model.npair == 1
    geoms = {model.geom(int(model.pair_geom1[0])).name, model.geom(int(model.pair_geom2[0])).name}
    assert geoms == {"peg", "plate"}
    assert (model.pair_dim[0], model.pair_margin[0]) == (4, 0.002)
    np.testing.assert_allclose(model.pair_friction[0], [0.7, 0.6, 0.01, 0.002, 0.003])


def touching(model, data):
    """Pairs of bodies in contact."""
    mujoco.mj_forward(model, data)
    return {
        tuple(sorted(model.body(model.geom_bodyid[geom]).name for geom in contact.geom)) for contact in data.contact
    }


WALL = """
<mujoco>
  <worldbody>
    <body name="wall" pos="0.0 0.0 0.7"><geom type="box" size="0.15 0.3 0.15"/></body>
  </worldbody>
</mujoco>
"""


@pytest.mark.parametrize("name", ["fr3", "panda", "ur5e"])
def test_links_touch_the_scene_where_asked_and_never_their_own_arm(tmp_path, name):
    task = make_task(tmp_path, WALL).on(name)
    for collide in (False, True):
        model = compose(task, collide=collide)
        data = mujoco.MjData(model)
        data.qpos[: len(task.home)] = task.home
        pairs = touching(model, data)
        assert bool(pairs) == collide
        assert all("wall" in pair for pair in pairs)
    folded = arm_model(name).limits.low  # every joint at its end: the arm runs into itself
    data.qpos[: len(folded)] = folded
    own = {pair for pair in touching(model, data) if not {"wall", "world"} & set(pair)}
    assert own == set()


@pytest.mark.parametrize("part", ["sim", "randomise"])
def test_a_frame_that_a_task_asks_for_and_its_scene_lacks_is_named(tmp_path, part):
    asks = {
        "sim": lambda model, data: {"lid": data.site("lid").xpos.copy()},
        "randomise": lambda model, data, rng: model.body("lid"),
    }
    task = make_task(tmp_path, **{part: asks[part]})
    with pytest.raises(
        SceneError, match=r"task test asks its scene .*scene.xml for what it lacks \(.*'lid'.*\): add it"
    ):
        TwinCell(task).read()
