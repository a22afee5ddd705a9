"""A reward that explains comparisons (Bradley and Terry, 1952; Christiano et al., 2017), as an ensemble.

The chance that the second of two clips is called better is sigmoid(R2 - R1), R being the sum of a clip's rewards. Each
member is trained until it is right on `enough` of the comparisons (97 % in RL-VLM-F's code), or until those that its
drawing left out become less likely, so that wrong answers are not learnt by heart; each from another beginning and on
another drawing with replacement. The reward is the members' mean, normalised to mean 0 and deviation 1 over the
frames that it was made for, then squashed into -1 to 1.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robot_rl.exceptions import ConfigError, DataError
from robot_rl.rewards.classifier.data import Frames, Maps
from robot_rl.rewards.preference.configuration import RewardConfig
from robot_rl.rewards.preference.store import Preference

try:
    import torch
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file, save_file
    from torch import Tensor, nn

    from robot_rl.rewards.classifier.model import Head, as_seen, flat_maps
except ImportError as error:  # pragma: no cover
    raise ConfigError("a learnt reward needs PyTorch: pip install 'robot_rl[perception]'") from error

WEIGHTS = "preference.safetensors"
LEAST = 10
"""Comparisons with an answer, below which there is nothing to learn."""
EVERY = 25
"""Steps between two looks at how many comparisons are right."""
PATIENCE = 8
"""Looks at comparisons that a member was not trained on without a gain, after which it is as good as it gets."""
Rewards = NDArray[np.float32]


@dataclass(frozen=True)
class PreferenceReward:
    """members: networks of maps to a number. mean, deviation: of what they say of the frames they were made for."""

    members: nn.ModuleList
    shapes: Mapping[str, tuple[int, ...]]
    backbone_id: str
    task: str
    mean: float
    deviation: float
    about: Mapping[str, Any]

    def values(self, maps: Mapping[str, Maps]) -> Rewards:
        """Of each member (members, n), of maps (n, h, w, channels), not normalised. DataError: other cameras."""
        flat = as_seen(self.shapes, maps, "the reward")
        with torch.inference_mode():
            found = torch.stack([member(flat)[:, 0] for member in self.members])
        rewards: Rewards = found.numpy()
        return rewards

    def reward(self, maps: Mapping[str, Maps]) -> Rewards:
        """(n,), from -1 to 1."""
        rewards: Rewards = np.tanh((self.values(maps).mean(0) - self.mean) / self.deviation).astype(np.float32)
        return rewards

    def save(self, folder: Path) -> None:
        """Write it into `folder`."""
        first = self.members[0]
        assert isinstance(first, Head)
        facts = {
            "members": len(self.members), "hidden": first.last[1].in_features // len(self.shapes),
            "shapes": self.shapes, "backbone_id": self.backbone_id, "task": self.task,
            "mean": self.mean, "deviation": self.deviation, "about": self.about,
        }  # fmt: skip
        save_file(self.members.state_dict(), folder / WEIGHTS, {"preference": json.dumps(facts)})


def load_reward(folder: Path) -> PreferenceReward:
    """What `robot-rl preferences fit` wrote. Raises `ConfigError` where there is none, `DataError` for damage."""
    path = folder / WEIGHTS
    if not path.is_file():
        raise ConfigError(f"{folder} holds no learnt reward ({WEIGHTS}); make one with `robot-rl preferences fit`")
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["preference"])
        shapes = {str(name): tuple(int(n) for n in shape) for name, shape in facts["shapes"].items()}
        members = _members(shapes, int(facts["members"]), int(facts["hidden"]))
        members.load_state_dict(load_file(path))
        names = ("backbone_id", "task", "mean", "deviation", "about")
        return PreferenceReward(members.eval(), shapes, *(facts[name] for name in names))
    except (SafetensorError, OSError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"the reward {path} is damaged or of another release ({error}); fit it again") from error


def fit(
    frames: Frames,
    preferences: Sequence[Preference],
    length: int,
    config: RewardConfig,
    task: str,
    tell: Callable[[int], None] = lambda done: None,
) -> PreferenceReward:
    """Learn from the comparisons that have an answer. DataError: they are too few, or not of these frames."""
    pairs, answers = _known(frames, preferences)
    if len(pairs) < LEAST:
        raise DataError(f"{len(pairs)} comparisons have an answer, and {LEAST} are needed; label more pairs")
    torch.set_num_threads(1)  # so small a network only waits for a second one
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(len(pairs))
    held = order[: max(1, int(config.held_out * len(pairs)))]
    learnt = order[len(held) :]
    shapes = {name: maps.shape[2:] for name, maps in frames.maps.items()}
    torch.manual_seed(config.seed)
    members = _members(shapes, config.members, config.hidden)
    clips = pairs[..., None] + np.arange(length)  # (n, 2, length) numbers of frames
    steps = []
    for number, member in enumerate(members):
        drawn = rng.choice(learnt, len(learnt))  # each sees another drawing, so that they can disagree
        aside = np.setdiff1d(learnt, drawn)
        known, unseen = _Told(clips[drawn], answers[drawn]), _Told(clips[aside], answers[aside])
        steps.append(_train(member, frames, known, unseen, config, rng))
        tell((number + 1) * config.steps)
    members.eval()
    made = PreferenceReward(members, shapes, frames.backbone_id, task, 0.0, 1.0, {})
    plain = {name: maps[:, 0] for name, maps in frames.maps.items()}
    values = made.values(plain)
    mean, deviation = float(values.mean(0).mean()), float(values.mean(0).std()) + 1e-6
    sums = values.mean(0)[clips].sum(-1)
    right = (sums[:, 1] > sums[:, 0]) == (answers == 1)
    about = {
        "comparisons": len(pairs),
        "held_out": len(held),
        "right_held_out": float(right[held].mean()),
        "right": float(right[learnt].mean()),
        "steps": steps,
        "length": length,
    }
    return PreferenceReward(members, shapes, frames.backbone_id, task, mean, deviation, about)


def _known(frames: Frames, preferences: Sequence[Preference]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First frames of both clips (n, 2) and answers (n,), of the comparisons that have one."""
    number = {place: index for index, place in enumerate(frames.place)}
    pairs, answers = [], []
    for one in preferences:
        if one.answer is None:
            continue
        if one.first not in number or one.second not in number:
            raise DataError(
                f"a comparison is of {one.first} and {one.second}, which the set does not hold; name its set"
            )
        pairs.append((number[one.first], number[one.second]))
        answers.append(one.answer)
    return np.array(pairs, np.int64).reshape(-1, 2), np.array(answers, np.int64)


class _Told(NamedTuple):
    """Comparisons: clips (n, 2, length) of numbers of frames, and answers (n,)."""

    clips: NDArray[np.int64]
    answers: NDArray[np.int64]

    @property
    def wanted(self) -> Tensor:
        return torch.from_numpy(self.answers.astype(np.float32))


def _train(
    member: nn.Module, frames: Frames, known: _Told, unseen: _Told, config: RewardConfig, rng: np.random.Generator
) -> int:
    """Train until enough comparisons are right, or `unseen` ones become less likely; return the steps that counts."""
    optimiser = torch.optim.AdamW(member.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    loss_of = nn.BCEWithLogitsLoss()
    wanted = known.wanted
    best, best_step, weights = np.inf, config.steps, None
    for step in range(1, config.steps + 1):
        index = rng.integers(len(known.clips), size=config.batch)
        logits = _logits(member, frames, known.clips[index], rng)
        optimiser.zero_grad()
        loss_of(logits, wanted[index]).backward()
        optimiser.step()
        if step % EVERY:
            continue
        with torch.inference_mode():
            share = float(((_logits(member, frames, known.clips, None) > 0) == (wanted > 0.5)).float().mean())
            judged = _logits(member, frames, unseen.clips, None) if len(unseen.clips) else None
        loss = -step if judged is None else float(loss_of(judged, unseen.wanted))
        if loss < best:
            best, best_step, weights = loss, step, copy.deepcopy(member.state_dict())
        if share >= config.enough or step - best_step >= PATIENCE * EVERY:
            break
    if weights is not None:
        member.load_state_dict(weights)
    return best_step


def _logits(member: nn.Module, frames: Frames, clips: NDArray[np.int64], rng: np.random.Generator | None) -> Tensor:
    """R2 - R1 of clips (n, 2, length). rng: draws crops; None: the frames as they are."""
    flat = clips.reshape(-1)
    seen = {}
    for name, maps in frames.maps.items():
        crop = np.zeros(len(flat), np.int64) if rng is None else rng.integers(maps.shape[1], size=len(flat))
        seen[name] = flat_maps(maps[flat, crop])
    sums: Tensor = member(seen)[:, 0].reshape(clips.shape).sum(-1)
    return sums[:, 1] - sums[:, 0]


def _members(shapes: Mapping[str, tuple[int, ...]], count: int, hidden: int) -> nn.ModuleList:
    sizes = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    return nn.ModuleList(Head(sizes, 1, hidden) for _ in range(count))
