"""Pictures with the truth about them."""

from __future__ import annotations

from dataclasses import fields, replace

import mujoco
import numpy as np
import pytest

import tasks
from controllers.exceptions import SceneError
from controllers.interface import Pose
from robot_rl.perception import scenes
from robot_rl.perception.scenes import DEEPEST, Crew, Frames

pytestmark = pytest.mark.egl


def same(one: Frames, other: Frames) -> bool:
    arrays = [(getattr(one, item.name), getattr(other, item.name)) for item in fields(Frames)]
    return all(a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in arrays)


def test_a_batch_depends_on_seed_and_index_alone(crew):
    first = crew.batch(0, 8)
    assert not same(first, crew.batch(1, 8))
    crew.plain(0, 4)
    assert same(first, crew.batch(0, 8))


def test_shapes_and_what_belongs_to_which_task(crew):
    frames = crew.batch(3, 32)
    assert crew.landmarks == ["tool", "socket_rim", "peg_tip", "cube"] and crew.cameras == ["wrist", "front"]
    assert len(frames) == 32 and frames.images.shape == (32, 128, 128, 3) and frames.images.dtype == np.uint8
    assert frames.points.shape == (32, 4, 3, 3) and frames.pixels.shape == (32, 4, 3, 2)
    peg, cube = frames.seen[:, 1:3].any(axis=1), frames.seen[:, 3]
    assert peg.any() and cube.any() and not (peg & cube).any()
    assert np.isnan(frames.grasped[peg]).all() and np.isfinite(frames.grasped[cube]).all()


def test_pixels_are_where_the_thing_is_in_the_picture(crew):
    """In its own colours, the only red thing is the cube."""
    frames = crew.plain(1, 40)
    cube = crew.landmarks.index("cube")
    looked = 0
    for i in np.flatnonzero(frames.seen[:, cube] & (frames.grasped == 0)):
        red = frames.images[i].astype(int)
        rows, columns = np.nonzero((red[..., 0] > 70) & (red[..., 0] > 2 * red[..., 1]))
        if len(rows) < 8 or 0 in (*rows, *columns) or 127 in (*rows, *columns):
            continue  # hidden or cut off
        column, row = (frames.pixels[i, cube, 0] + 1) / 2 * 128 - 0.5
        size = np.sqrt(len(rows))
        assert abs(columns.mean() - column) < 0.4 * size and abs(rows.mean() - row) < 0.4 * size
        looked += 1
    assert looked > 5


def test_points_offsets_and_pixels_agree(crew):
    """The distance between tool and object is the same in each frame; nearer things are below one another's lens."""
    frames = crew.batch(5, 32)
    for k in range(1, len(crew.landmarks)):
        own = frames.seen[:, k] & frames.seen[:, 0]
        apart = np.linalg.norm(frames.points[own, k, 0] - frames.points[own, 0, 0], axis=1)
        assert np.allclose(apart, np.linalg.norm(frames.offsets[own, k], axis=1), atol=1e-5)
    assert (frames.points[frames.seen][:, 0, 2] > 0.01).all()
    axes = frames.points[frames.seen][:, 1:] - frames.points[frames.seen][:, :1]
    assert np.allclose(np.linalg.norm(axes, axis=2), scenes.ARM, atol=1e-5)


def test_a_held_cube_is_in_the_hand_and_little_stands_in_something_else(crew):
    studio, rng = crew.studios[1], np.random.default_rng(0)
    held = deep = 0
    for _ in range(60):
        frames = studio.shoot(rng)
        deep += bool(studio.data.ncon) and studio.data.contact.dist.min() < -DEEPEST
        if frames.grasped[0] == 1:
            held += 1
            assert np.linalg.norm(frames.offsets[0, -1]) < 0.02
    assert 8 < held < 40
    assert deep < 6


def test_plain_pictures_look_as_the_policy_sees_them(crew):
    """Whatever was randomised before: the picture is that of the twin's own renderer."""
    from controllers.twin.compose import compose
    from controllers.twin.render import Renderer

    studio, task = crew.studios[0], tasks.load("peg_insert")
    crew.batch(9, 4)
    frames = studio.shoot(np.random.default_rng(2), plain=True)
    model = compose(task)
    data = mujoco.MjData(model)
    arm = model.nq
    data.qpos[:] = studio.data.qpos[:arm]
    place = int(model.body("socket").mocapid[0]), int(studio.model.body("socket").mocapid[0])
    data.mocap_pos[place[0]], data.mocap_quat[place[0]] = (
        studio.data.mocap_pos[place[1]],
        studio.data.mocap_quat[place[1]],
    )
    mujoco.mj_fwdPosition(model, data)
    with Renderer(model) as renderer:
        picture = renderer.render(data, "front", 128, 128)
    assert np.abs(picture.astype(int) - frames.images[1]).mean() < 0.5


@pytest.mark.parametrize("name", tasks.names())
def test_every_task_can_be_photographed(name, monkeypatch):
    monkeypatch.setattr(scenes, "POSES", 2)
    crew = Crew([tasks.load(name)], seed=1)
    try:
        frames = crew.batch(0, 4)
        assert frames.seen[:, 0].all(), "the tool is in every picture"
        assert frames.images.std() > 5
    finally:
        crew.close()


def test_a_task_out_of_the_arms_reach_is_one_sentence(monkeypatch):
    monkeypatch.setattr(scenes, "MISSES", 3)
    task = tasks.load("reach")
    away = replace(task, anchor=Pose(np.array([2.0, 0.0, 0.2]), task.anchor.quaternion))
    with pytest.raises(SceneError, match="the fr3 hardly reaches the anchor of reach .not at 4 places.: move the task"):
        Crew([away], seed=1)
