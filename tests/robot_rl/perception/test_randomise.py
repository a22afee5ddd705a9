"""What is varied of a picture, and how far."""

from __future__ import annotations

import numpy as np
import pytest

from robot_rl.perception.randomise import AWAY, DISTRACTORS, expose


def test_exposure_keeps_type_and_shape_and_changes_the_picture():
    image = np.full((64, 64, 3), 128, dtype=np.uint8)
    pictures = np.array([expose(image, np.random.default_rng(i)) for i in range(20)])
    assert pictures.dtype == np.uint8 and pictures.shape == (20, 64, 64, 3)
    means = pictures.mean(axis=(1, 2, 3))
    assert means.std() > 5 and (np.abs(means - 128) < 64).all()


@pytest.mark.egl
def test_looks_differ_and_come_back(crew):
    studio = crew.studios[0]
    look, model, data = studio._look, studio.model, studio.data
    rng = np.random.default_rng(0)
    look.restore(data)
    names = ("mat_rgba", "geom_rgba", "light_dir", "light_diffuse", "cam_pos", "cam_quat", "cam_fovy", "tex_data")
    usual = {name: getattr(model, name).copy() for name in names}
    look.draw_textures(rng)
    look.draw(data, rng, np.zeros((1, 3)))
    for name, value in usual.items():
        assert not np.array_equal(getattr(model, name), value), name
    assert np.array_equal(model.mat_rgba[:, 3], usual["mat_rgba"][:, 3]), "what is clear stays clear"
    assert np.abs(model.cam_fovy / usual["cam_fovy"] - 1).max() < 0.051
    look.restore(data)
    for name, value in usual.items():
        assert np.array_equal(getattr(model, name), value), name
    places = [data.mocap_pos[int(model.body(f"distractor_{i}").mocapid[0])] for i in range(DISTRACTORS)]
    assert np.array_equal(places, [AWAY] * DISTRACTORS)


@pytest.mark.egl
def test_distractors_leave_the_task_free(crew):
    studio, rng = crew.studios[0], np.random.default_rng(1)
    near = np.array([[0.5, 0.0, 0.1]])
    shown = 0
    for _ in range(50):
        studio._look.draw(studio.data, rng, near, textures=0)
        for i in range(DISTRACTORS):
            place = studio.data.mocap_pos[int(studio.model.body(f"distractor_{i}").mocapid[0])]
            if place[2] > -1:
                shown += 1
                assert np.linalg.norm(place[:2] - near[0, :2]) >= 0.08
    assert shown > 30
