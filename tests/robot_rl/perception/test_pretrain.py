"""Training: it learns, it is the same for a seed, it goes on where it was."""

from __future__ import annotations

import os

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from robot_rl.exceptions import DataError, GraphError  # noqa: E402
from robot_rl.perception.compact import CompactNet  # noqa: E402
from robot_rl.perception.pretrain import Plan, Trainer, features_of, heat_loss, losses, pretrain  # noqa: E402
from robot_rl.perception.stream import stream  # noqa: E402

pytestmark = pytest.mark.egl
PLAN = Plan(("peg_insert", "pick_cube"), seed=4, frames=64, batch=16)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def trainer(crew, plan=PLAN) -> Trainer:
    return Trainer(plan, len(crew.landmarks), len(crew.cameras))


def test_the_loss_falls_on_a_tiny_set(crew):
    frames = crew.batch(0, 16)
    own = trainer(crew, Plan(PLAN.tasks, frames=16 * 40, batch=16))
    first = own.train(frames)
    for _ in range(39):
        last = own.train(frames)
    for name in ("pixels", "offsets", "maps", "heat"):
        assert last[name] < 0.7 * first[name], name


def test_the_truth_has_no_loss(crew):
    from robot_rl.perception.pretrain import CAMERA, TOOL
    from robot_rl.perception.scenes import ARM

    frames = crew.batch(0, 8)
    points, pixels = torch.from_numpy(frames.points), torch.from_numpy(frames.pixels)
    said = {
        "points": points[:, :, 0] / CAMERA,
        "axes": (points[:, :, 1:] - points[:, :, :1]).flatten(2) / ARM,
        "pixels": pixels.flatten(2).clamp(-1.5, 1.5),
        "offsets": torch.from_numpy(frames.offsets) / TOOL,
        "grasped": torch.from_numpy(np.nan_to_num(frames.grasped) * 200 - 100),
    }
    maps = torch.zeros(8, 32, 3)
    maps[:, :12, :2] = pixels.transpose(1, 2).flatten(1, 2)
    heat = torch.zeros(8, 32, 1024)
    terms = losses(said, maps, heat, frames)
    assert terms.pop("heat") == pytest.approx(np.log(1024)), "flat heat knows nothing"
    assert sum(terms.values()) < 1e-6
    said["offsets"] = said["offsets"] + 1
    assert losses(said, maps, heat, frames)["offsets"] > 0.9


def test_heat_is_best_where_its_centre_of_mass_is_the_point():
    network = CompactNet()
    wanted = torch.tensor([[0.31, -0.77], [0.99, -0.2]])
    logits = torch.zeros(2, 1024, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.5)
    for _ in range(100):
        optimiser.zero_grad()
        heat_loss(logits, wanted).backward()
        optimiser.step()
    centre = network._points(logits.detach()[None])[0, :, :2]
    assert torch.allclose(centre, wanted.clamp(-1 + 1 / 32, 1 - 1 / 32), atol=0.01)


def test_training_goes_on_as_if_it_had_not_stopped(crew, tmp_path):
    batches = [crew.batch(i, 16) for i in range(4)]
    whole, half, rest = trainer(crew), trainer(crew), trainer(crew)
    for frames in batches:
        whole.train(frames)
    for frames in batches[:2]:
        half.train(frames)
    half.save(tmp_path / "state")
    rest.load(tmp_path / "state")
    assert rest.step == 2
    for frames in batches[2:]:
        rest.train(frames)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, rest.network.state_dict()[name]), name


def test_the_state_of_another_training_is_refused_by_name(crew, tmp_path):
    path = tmp_path / "a.training"
    trainer(crew).save(path)
    with pytest.raises(DataError, match=r"a\.training is the state of a training with other options"):
        trainer(crew, Plan(PLAN.tasks, seed=5, frames=64, batch=16)).load(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"a\.training cannot be read"):
        trainer(crew).load(path)


def test_finished_features_are_of_scale_one(crew):
    own = trainer(crew)
    frames = crew.batch(0, 16)
    own.train(frames)
    flat = features_of(own.finish(iter([frames, crew.batch(1, 16)])), frames.images)
    assert flat.shape == (16, 1024) and np.abs(flat).max() <= 8
    assert 0.1 < flat.std() < 2 and abs(flat.mean()) < 0.2


def test_two_steps_with_a_renderer_of_its_own(tmp_path):
    """The pictures that stream are those of `Crew.batch`, so a training is reproducible from its command."""
    seen: list[int] = []
    plan = Plan(("reach",), seed=2, frames=32, batch=16)
    own = pretrain(plan, 2, 2, tmp_path / "state", lambda step, terms: seen.append(step))
    assert seen == [1, 2] and own.step == 2


def test_a_renderer_that_dies_is_one_sentence(monkeypatch):
    with stream(("reach",), 0, 8, 0, 10_000) as batches:
        first = next(batches)
        assert len(first) == 8
        import multiprocessing

        child = multiprocessing.active_children()[0]
        os.kill(child.pid, 9)
        with pytest.raises(GraphError, match="renders has ended with code -9"):
            list(batches)
