"""How well a trained network says where things are, on pictures it was not trained on, and what a policy could read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from controllers.interface import Array
from robot_rl.perception.compact import CompactNet
from robot_rl.perception.pretrain import CAMERA, TOOL, Heads, Trainer, features_of
from robot_rl.perception.scenes import Crew, Frames

RIDGES = (1e-1, 1.0, 10.0, 100.0, 1000.0, 1e4)
"""Of ridge regression on features of scale 1; the one that is best on a part of the training pictures is taken."""
NEAR = 0.15
"""Distance from the tool, m, within which an object counts in the probe: where a policy has to be precise."""


@dataclass(frozen=True)
class Error:
    """Median distances from the truth, mm: of a landmark's place in the camera's frame, and in the tool's frame."""

    camera: str
    landmark: str
    pictures: int
    place: float
    offset: float


def errors(network: CompactNet, heads: Heads, frames: Frames, crew: Crew) -> list[Error]:
    """For each camera and each landmark that is seen, with the heads of the training. network: not folded or folded."""
    found = []
    network.eval()
    with torch.no_grad():
        parts = torch.from_numpy(frames.images).split(64)
        features = torch.cat([network.look(part)[0] for part in parts])
        said = heads(features, torch.from_numpy(frames.camera))
    points = said["points"].numpy() * CAMERA - frames.points[:, :, 0]
    offsets = said["offsets"].numpy() * TOOL - frames.offsets
    for c, camera in enumerate(crew.cameras):
        for k, landmark in enumerate(crew.landmarks):
            own = (frames.camera == c) & frames.seen[:, k]
            if own.any():
                place, offset = (np.median(np.linalg.norm(e[own, k], axis=1)) * 1000 for e in (points, offsets))
                found.append(Error(camera, landmark, int(own.sum()), round(float(place), 2), round(float(offset), 2)))
    return found


def grasp_accuracy(trainer: Trainer, frames: Frames) -> float | None:
    """Part of the pictures of grippers where it is said rightly whether they hold something."""
    known = ~np.isnan(frames.grasped)
    if not known.any():
        return None
    flat = [trainer.network.look(part)[0].detach() for part in torch.from_numpy(frames.images[known]).split(64)]
    with torch.no_grad():
        said = trainer.heads(torch.cat(flat), torch.from_numpy(frames.camera[known]))["grasped"].numpy() > 0
    return float((said == (frames.grasped[known] > 0.5)).mean())


def probe(network: CompactNet, frames: Frames, crew: Crew) -> list[dict[str, Any]]:
    """Ridge regression from the frozen features to each object's lateral offset (x, y) from the tool, by camera.

    Two thirds of the pictures teach it. Errors are medians of the distance in mm; `guess` is that of the mean place.
    """
    found = []
    for c, camera in enumerate(crew.cameras):
        for k, landmark in enumerate(crew.landmarks):
            near = np.linalg.norm(frames.offsets[:, k], axis=1) < NEAR
            own = (frames.camera == c) & frames.seen[:, k] & near
            offsets = frames.offsets[own, k, :2].astype(np.float64) * 1000
            if own.sum() < 60 or offsets.std() < 0.5:
                continue  # not of this task, or fixed to the tool
            features = features_of(network, frames.images[own])
            split = len(offsets) * 2 // 3
            guess = np.median(np.linalg.norm(offsets[split:] - offsets[:split].mean(0), axis=1))
            error = _ridge_error(features, offsets, split)
            about = {"camera": camera, "landmark": landmark, "taught": split}
            found.append(about | {"error": round(error, 2), "guess": round(float(guess), 2)})
    return found


def _ridge_error(features: Array, wanted: Array, split: int) -> float:
    """Median distance on the rows from `split` on; the penalty is chosen on the last quarter of those before."""
    inner = split * 3 // 4
    best = min(RIDGES, key=lambda r: _median(_fit(features[:inner], wanted[:inner], r), features, wanted, inner, split))
    return _median(_fit(features[:split], wanted[:split], best), features, wanted, split, len(wanted))


def _fit(features: Array, wanted: Array, ridge: float) -> tuple[Array, Array, Array]:
    """Means of both and the map between them; in the rows' space, of which there are fewer than features."""
    here, there = features.mean(0), wanted.mean(0)
    x = features - here
    weights = x.T @ np.linalg.solve(x @ x.T + ridge * np.eye(len(x)), wanted - there)
    return here, there, weights


def _median(fit: tuple[Array, Array, Array], features: Array, wanted: Array, start: int, stop: int) -> float:
    here, there, weights = fit
    said = (features[start:stop] - here) @ weights + there
    return float(np.median(np.linalg.norm(said - wanted[start:stop], axis=1)))
