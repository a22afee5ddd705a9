"""What a domain draws, and what it refuses."""

import numpy as np
import pytest

import tasks
from controllers.twin import TwinCell
from controllers.twin.world import place_of
from tasks.domain import FACTORS, NOMINAL, Domain

WIDE = Domain(
    friction=(0.5, 1.5),
    contact=(1.0, 1.4),
    mass=(0.7, 1.3),
    joints=(0.5, 2.0),
    brightness=(0.6, 1.4),
    light_turn=(0.1, 0.5),
    camera_shift=(0.002, 0.005),
    camera_turn=(0.0, 0.02),
    latency=(0.01, 0.03),
    wrench_bias=(0.3, 0.01),
    wrench_noise=(0.1, 0.005),
)
SINGLE = (*FACTORS, "latency")


def test_by_default_nothing_is_drawn():
    drawn = Domain().draw(5, ["wrist"])
    assert [getattr(drawn, name) for name in SINGLE] == [getattr(NOMINAL, name) for name in SINGLE]
    assert not any(part.any() for part in (drawn.light_turn, drawn.wrench_bias, *drawn.cameras["wrist"]))
    wrench = np.arange(6.0)
    assert drawn.measured(wrench, 3) is wrench


def test_each_part_is_drawn_over_its_whole_range():
    draws = [WIDE.draw(seed, ["wrist", "front"]) for seed in range(200)]
    values = {name: np.array([getattr(drawn, name) for drawn in draws]) for name in SINGLE}
    values["light_turn"] = np.linalg.norm([drawn.light_turn for drawn in draws], axis=1)
    values["camera_shift"] = np.linalg.norm([drawn.cameras["front"][0] for drawn in draws], axis=1)
    values["camera_turn"] = np.linalg.norm([drawn.cameras["wrist"][1] for drawn in draws], axis=1)
    for name, drawn in values.items():
        low, high = getattr(WIDE, name)
        assert low <= drawn.min() < low + 0.05 * (high - low), name
        assert high - 0.05 * (high - low) < drawn.max() <= high, name
    bias = np.abs([drawn.wrench_bias for drawn in draws]).max(axis=0)
    assert np.allclose(bias, [0.3] * 3 + [0.01] * 3, rtol=0.05) and (bias <= [0.3] * 3 + [0.01] * 3).all()


def test_the_same_seed_draws_the_same_and_one_range_leaves_the_others():
    one, other = WIDE.draw(7, ["wrist"]), Domain(latency=WIDE.latency).draw(7, ["wrist"])
    assert one.friction == WIDE.draw(7, ["wrist"]).friction != WIDE.draw(8, ["wrist"]).friction
    assert one.latency == other.latency and other.friction == 1.0


def test_noise_belongs_to_a_moment_and_has_its_deviation():
    drawn, still = WIDE.draw(3), np.zeros(6)
    assert np.array_equal(drawn.measured(still, 40), drawn.measured(still, 40))
    noise = np.array([drawn.measured(still, step) for step in range(2000)]) - drawn.wrench_bias
    assert np.allclose(noise.std(axis=0), [0.1] * 3 + [0.005] * 3, rtol=0.1)
    assert np.abs(noise.mean(axis=0)).max() < 0.01


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"friction": (0.0, 1.0)}, r"the domain's friction is \(0.0, 1.0\): give numbers above 0"),
        ({"latency": (-0.01, 0.01)}, r"latency is \(-0.01, 0.01\): give numbers from 0"),
        ({"mass": (1.2, 0.8)}, "mass is .* give the lower one first"),
        ({"camera_shift": (0.0, np.nan)}, "camera_shift is .* give numbers from 0"),
    ],
)
def test_a_range_that_cannot_be_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Domain(**wrong)


@pytest.mark.parametrize("name", tasks.names())
def test_a_task_s_domain_suits_it(name):
    task = tasks.load(name)
    assert task.domain.latency[1] < task.period, "a target would come after the next one was sent"
    if task.goal:
        cell = TwinCell(task)
        before = place_of(cell.model, cell.data, task.goal)[0].copy()
        cell.plant.shift_body(task.goal, np.array([0.0, 0.005, 0.0]))
        assert np.allclose(cell.data.body(task.goal).xpos - before, [0.0, 0.005, 0.0])
