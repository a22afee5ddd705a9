"""Train the compact backbone to say where things are: on pictures of the twin, streamed by a process that renders.

What the network is asked for is read linearly from its features, as a policy's head will: for each landmark its place
and axes in the camera's frame, their pixels, and its place in the tool's frame; for a gripper, whether it holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from robot_rl.exceptions import DataError
from robot_rl.perception.compact import CHANNELS, POINTS, CompactNet, read_weights
from robot_rl.perception.scenes import ARM, Frames
from robot_rl.perception.stream import stream

RATE, DECAY, WARM_UP = 2e-3, 1e-4, 100
"""Of AdamW: largest learning rate, weight decay, and steps until it is reached; a cosine leads it back to 0."""
HEADS_RATE = 0.25
"""Learning rate of the heads, in that of the network: they add up a thousand numbers, so a step shakes them more."""
BETA = 0.02
"""Errors below this, in the units below, count by their square: smooth L1 with nearly all of its slope."""
CAMERA, TOOL = 0.1, 0.05
"""m that count as 1 in the camera's and in the tool's frame."""
WEIGHTS = {"points": 0.3, "axes": 0.3, "pixels": 2.0, "offsets": 2.0, "maps": 2.0, "heat": 0.2, "grasped": 0.2}
KEEP = 200
"""Steps between two states of the training on disk."""
PER_LANDMARK = 18
"""Numbers: three points in the camera's frame, three pixels, one offset."""


@dataclass(frozen=True)
class Plan:
    """What is trained: tasks by name, seed, number of pictures, and pictures a step."""

    tasks: tuple[str, ...]
    seed: int = 0
    frames: int = 28_000
    batch: int = 32

    @property
    def steps(self) -> int:
        """Steps of the optimiser."""
        return -(-self.frames // self.batch)


class Heads(nn.Module):
    """Linear maps from features to the geometry, one for each camera."""

    def __init__(self, landmarks: int, cameras: int) -> None:
        super().__init__()
        self._landmarks, self._cameras = landmarks, cameras
        self.linear = nn.Linear(CHANNELS * 16, cameras * (PER_LANDMARK * landmarks + 1))

    def forward(self, features: Tensor, camera: Tensor) -> dict[str, Tensor]:
        """Of features (n, 64, 4, 4): quantities (n, landmarks, ...) in units of 1, and the logit of grasped (n,)."""
        every = self.linear(features.flatten(1)).view(len(features), self._cameras, -1)
        own = every[torch.arange(len(features)), camera]
        parts = own[:, 1:].view(len(own), self._landmarks, PER_LANDMARK)
        return {
            "grasped": own[:, 0],
            "points": parts[..., :3],
            "axes": parts[..., 3:9],
            "pixels": parts[..., 9:15],
            "offsets": parts[..., 15:],
        }


class Trainer:
    """Network, heads and optimiser, from a seed; a step takes one batch."""

    def __init__(self, plan: Plan, landmarks: int, cameras: int) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.step = plan, 0
        self.network, self.heads = CompactNet(), Heads(landmarks, cameras)
        self.network.to(memory_format=torch.channels_last)
        self._parts = nn.ModuleDict({"network": self.network, "heads": self.heads})
        groups: list[dict[str, Any]] = [{"params": part.parameters()} for part in (self.network, self.heads)]
        self._optimiser = torch.optim.AdamW(groups, lr=RATE, weight_decay=DECAY)

    def train(self, frames: Frames) -> dict[str, float]:
        """One step; the losses by name, unweighted. Raises `DataError` where a loss is not finite."""
        self.network.train()
        for group, part in zip(self._optimiser.param_groups, (1.0, HEADS_RATE), strict=True):
            group["lr"] = self._rate() * part
        features, maps, heat = self.network.look(torch.from_numpy(frames.images))
        terms = losses(self.heads(features, torch.from_numpy(frames.camera)), maps, heat, frames)
        loss = sum((WEIGHTS[name] * term for name, term in terms.items()), torch.zeros(()))
        if not torch.isfinite(loss):
            raise DataError(f"the loss of step {self.step} is {loss.item()}: start again with another --seed")
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._parts.parameters(), 5.0)
        self._optimiser.step()
        self.step += 1
        return {name: float(term.detach()) for name, term in terms.items()}

    def _rate(self) -> float:
        done = self.step / max(1, self.plan.steps)
        return float(RATE * min(1.0, (self.step + 1) / WARM_UP) * (0.5 + 0.5 * np.cos(np.pi * min(1.0, done))))

    def finish(self, batches: Iterator[Frames]) -> CompactNet:
        """The network folded, its features normalised by what `batches` show."""
        self.network.fold()
        with torch.no_grad():
            seen = torch.cat([self.network.look(torch.from_numpy(frames.images))[0] for frames in batches])
        self.network.shift.copy_(seen.mean(0))
        self.network.scale.copy_(1 / (seen.std(0) + 0.01))
        return self.network

    def save(self, path: Path) -> None:
        """Write all that going on needs to a file that appears whole."""
        from safetensors.torch import save_file

        tensors = {name: value.contiguous() for name, value in self._parts.state_dict().items()}
        for index, state in self._optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value.contiguous() for name, value in state.items()}
        part = path.with_name(path.name + ".part")
        save_file(tensors, part, {"plan": self._signature(), "step": str(self.step)})
        part.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a file of `save`. Raises `DataError` where it is damaged or of another plan."""
        tensors, about = read_weights(path)
        if about.get("plan") != self._signature():
            raise DataError(f"{path} is the state of a training with other options: give those again, or remove it")
        self._parts.load_state_dict({k: v for k, v in tensors.items() if not k.startswith("optimiser.")})
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimiser."):
                _, index, name = key.split(".")
                state.setdefault(int(index), {})[name] = value
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": state, "param_groups": groups})
        self.step = int(about["step"])

    def _signature(self) -> str:
        return json.dumps(asdict(self.plan), sort_keys=True)


def losses(said: dict[str, Tensor], maps: Tensor, heat: Tensor, frames: Frames) -> dict[str, Tensor]:
    """Smooth L1 of each quantity over the landmarks that are seen; maps, heat: see `CompactNet.look`."""
    points, pixels = torch.from_numpy(frames.points), torch.from_numpy(frames.pixels)
    seen = torch.from_numpy(frames.seen)
    origin = points[:, :, :1]
    true = {
        "points": origin.flatten(2) / CAMERA,
        "axes": (points[:, :, 1:] - origin).flatten(2) / ARM,
        "pixels": pixels.flatten(2).clamp(-1.5, 1.5),
        "offsets": torch.from_numpy(frames.offsets) / TOOL,
    }
    terms = {name: nn.functional.smooth_l1_loss(said[name][seen], true[name][seen], beta=BETA) for name in true}
    count = min(POINTS, pixels[0].shape[0] * 3)
    wanted = pixels.transpose(1, 2).flatten(1, 2)[:, :count]  # all origins first
    within = seen.repeat(1, 3)[:, :count] & (wanted.abs() < 1).all(2)
    terms["maps"] = nn.functional.smooth_l1_loss(maps[:, :count, :2][within], wanted[within], beta=BETA)
    terms["heat"] = heat_loss(heat[:, :count][within], wanted[within])
    known = ~np.isnan(frames.grasped)
    if known.any():
        held = torch.from_numpy(frames.grasped[known])
        logits = said["grasped"][torch.from_numpy(known)]
        terms["grasped"] = nn.functional.binary_cross_entropy_with_logits(logits, held)
    return terms


def heat_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross entropy of heat (m, size * size) to what has its centre of mass at wanted (m, 2): four cells around it.

    Centres of mass alone teach slowly: they have almost no gradient where the heat is flat (Nibali et al. 2018).
    """
    size = round(logits.shape[1] ** 0.5)
    place = ((wanted + 1) / 2 * size - 0.5).clamp(0, size - 1)
    low = place.floor().clamp(max=size - 2)
    part = place - low
    first = (low[:, 1] * size + low[:, 0]).long()
    chances = torch.log_softmax(logits, dim=1)
    total = torch.zeros(len(wanted))
    for down in (0, 1):
        for right in (0, 1):
            weight = (part[:, 0] if right else 1 - part[:, 0]) * (part[:, 1] if down else 1 - part[:, 1])
            total = total - weight * chances.gather(1, (first + down * size + right)[:, None])[:, 0]
    return total.mean()


def pretrain(
    plan: Plan, landmarks: int, cameras: int, state: Path, tell: Callable[[int, dict[str, float]], None]
) -> Trainer:
    """Train, going on from `state` where that file is; tell: called after each step with its losses.

    Raises `DataError` for a file `state` of something else, `GraphError` where the renderer dies.
    """
    trainer = Trainer(plan, landmarks, cameras)
    if state.exists():
        trainer.load(state)
    with stream(plan.tasks, plan.seed, plan.batch, trainer.step, plan.steps) as batches:
        for frames in batches:
            terms = trainer.train(frames)
            tell(trainer.step, terms)
            if trainer.step % KEEP == 0:
                trainer.save(state)
    return trainer


def features_of(network: CompactNet, images: np.ndarray, batch: int = 64) -> np.ndarray:
    """What a policy gets of pictures (n, h, w, 3): (n, 1024), rounded to float16."""
    with torch.no_grad():
        parts: Sequence[Tensor] = [network(part) for part in torch.from_numpy(images).split(batch)]
    flat: np.ndarray = torch.cat(list(parts)).flatten(1).half().float().numpy()
    return flat
