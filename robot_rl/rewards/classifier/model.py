"""The network, its training, its calibration, and its file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_rl.exceptions import ConfigError, DataError
from robot_rl.rewards.classifier.configuration import ClassifierConfig
from robot_rl.rewards.classifier.data import SUCCESS, Frames, Maps

try:
    import torch
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file, save_file
    from torch import Tensor, nn
except ImportError as error:  # pragma: no cover
    raise ConfigError("a classifier needs PyTorch: pip install 'robot_rl[perception]'") from error

WEIGHTS = "classifier.safetensors"
FORMAT = "robot_rl.classifier/1"
COLDEST, HOTTEST = 0.05, 20.0
"""Bounds of the temperature."""
Logits = NDArray[np.float32]


class Head(nn.Module):
    """Maps of several cameras, each (n, h * w * channels), to logits (n, classes)."""

    def __init__(self, sizes: Mapping[str, int], classes: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.cameras = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Dropout(dropout), nn.Linear(size, hidden), nn.LayerNorm(hidden), nn.GELU())
                for name, size in sorted(sizes.items())
            }
        )
        self.last = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden * len(sizes), classes))

    def forward(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Logits of float32 maps."""
        logits: Tensor = self.last(torch.cat([part(maps[name]) for name, part in self.cameras.items()], dim=-1))
        return logits


@dataclass(frozen=True)
class Classifier:
    """A trained network with what its answers mean. temperature: its logits are divided by; threshold: of success."""

    head: Head
    classes: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    backbone: str
    backbone_id: str
    task: str
    temperature: float
    threshold: float
    about: Mapping[str, Any]

    def probability(self, maps: Mapping[str, Maps]) -> NDArray[np.float32]:
        """Of success, (n,), of maps (n, h, w, channels). DataError: another camera's, or of another shape."""
        found: NDArray[np.float32] = softmax(self.logits(maps) / self.temperature)[:, SUCCESS]
        return found

    def logits(self, maps: Mapping[str, Maps]) -> Logits:
        """Before the temperature."""
        seen = as_seen(self.shapes, maps, "the classifier")
        with torch.inference_mode():
            found = self.head(seen)
        logits: Logits = found.numpy()
        return logits

    def save(self, folder: Path) -> None:
        """Write it into `folder`."""
        facts = {
            "format": FORMAT, "classes": self.classes, "shapes": self.shapes, "backbone": self.backbone,
            "backbone_id": self.backbone_id, "task": self.task, "temperature": self.temperature,
            "threshold": self.threshold, "hidden": self.head.last[1].in_features // len(self.shapes),
            "about": self.about,
        }  # fmt: skip
        save_file(self.head.state_dict(), folder / WEIGHTS, {"classifier": json.dumps(facts)})


def as_seen(shapes: Mapping[str, tuple[int, ...]], maps: Mapping[str, Maps], what: str) -> dict[str, Tensor]:
    """Maps (n, h, w, channels) as a head takes them. DataError: `what` was made for others."""
    for name, shape in shapes.items():
        if name not in maps or maps[name].shape[1:] != shape:
            found = {one: values.shape[1:] for one, values in maps.items()}
            raise DataError(f"{what} looks at camera '{name}' as {shape}; there is {found}; make another for these")
    return {name: flat_maps(maps[name]) for name in shapes}


def load_classifier(folder: Path) -> Classifier:
    """What `robot-rl classifier train` wrote. Raises `ConfigError` where there is none, `DataError` for damage."""
    path = folder / WEIGHTS if folder.is_dir() else folder
    if not path.is_file():
        raise ConfigError(f"{folder} holds no classifier ({WEIGHTS}); make one with `robot-rl classifier train`")
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["classifier"])
        shapes = {str(name): tuple(int(n) for n in shape) for name, shape in facts["shapes"].items()}
        sizes = {name: int(np.prod(shape)) for name, shape in shapes.items()}
        head = Head(sizes, len(facts["classes"]), int(facts["hidden"]))
        head.load_state_dict(load_file(path))
        head.eval()
        return Classifier(
            head, tuple(facts["classes"]), shapes, facts["backbone"], facts["backbone_id"], facts["task"],
            float(facts["temperature"]), float(facts["threshold"]), facts["about"],
        )  # fmt: skip
    except (SafetensorError, OSError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"the classifier {path} is damaged or of another release ({error}); train it again") from error


def fit(frames: Frames, classes: Sequence[str], config: ClassifierConfig, tell: Callable[[int], None]) -> Head:
    """Train a head: each class counts alike, each frame is seen as a crop drawn anew. Raises `DataError`: one class."""
    counts = np.bincount(frames.label, minlength=len(classes))
    if (counts == 0).any():
        missing = ", ".join(name for name, count in zip(classes, counts, strict=True) if count == 0)
        raise DataError(
            f"there is no frame of {missing} among {len(frames)} to train on; "
            "a classifier needs examples of each: record episodes that succeed and episodes that do not"
        )
    torch.set_num_threads(1)  # so small a network only waits for a second one
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    sizes = {name: int(np.prod(maps.shape[2:])) for name, maps in frames.maps.items()}
    head = Head(sizes, len(classes), config.hidden, config.dropout)
    optimiser = torch.optim.AdamW(head.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    chances = (1 / counts)[frames.label]
    chances /= chances.sum()
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.01)
    head.train()
    for step in range(config.steps):
        index = rng.choice(len(frames), config.batch, p=chances)
        batch = {name: flat_maps(_crops(maps, index, rng)) for name, maps in frames.maps.items()}
        loss = loss_of(head(batch), torch.from_numpy(frames.label[index]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        tell(step + 1)
    return head.eval()


def calibrate(logits: Logits, label: NDArray[np.int64]) -> float:
    """The temperature that makes held-out labels most likely (Guo et al., 2017, arXiv 1706.04599).

    Of n labels of a class one more in n + 2 might have been wrong (Platt, 1999): frames that are told apart without an
    error give no certainty.
    """
    counts = np.bincount(label, minlength=logits.shape[-1])
    sure = ((counts + 1) / (counts + 2))[label][:, None]
    wanted = np.full(logits.shape, (1 - sure) / (logits.shape[-1] - 1))
    np.put_along_axis(wanted, label[:, None], sure, axis=1)
    candidates = np.geomspace(COLDEST, HOTTEST, 200)
    losses = [-(wanted * np.log(softmax(logits / t) + 1e-12)).sum(-1).mean() for t in candidates]
    return float(candidates[int(np.argmin(losses))])


def choose_threshold(probability: NDArray[np.float32], success: NDArray[np.bool_], rate: float) -> float:
    """The probability from which a frame is called a success: at most `rate` of those that are none reach it.

    In logits it lies midway between the negative that must stay below and the lowest of the positives above, but for
    one in twenty of them: so a set that is told apart without an error leaves room on both sides.
    """
    odds = log_odds(probability)
    negatives = np.sort(odds[~success])[::-1]
    barrier = negatives[min(int(rate * len(negatives)), len(negatives) - 1)]
    above = np.sort(odds[success & (odds > barrier)])
    if not len(above):
        return float(1 / (1 + np.exp(-(barrier + 1.0))))
    middle = (barrier + above[len(above) // 20]) / 2
    return float(1 / (1 + np.exp(-middle)))


def log_odds(probability: NDArray[Any]) -> NDArray[np.float64]:
    """log(p / (1 - p)), bounded."""
    p = np.clip(probability.astype(np.float64), 1e-6, 1 - 1e-6)
    odds: NDArray[np.float64] = np.log(p) - np.log1p(-p)
    return odds


def softmax(logits: NDArray[Any]) -> NDArray[np.float32]:
    """Over the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    chances: NDArray[np.float32] = (powers / powers.sum(-1, keepdims=True)).astype(np.float32)
    return chances


def _crops(maps: Maps, index: NDArray[np.int64], rng: np.random.Generator) -> Maps:
    """A crop of each frame: (n, h, w, channels)."""
    return maps[index, rng.integers(maps.shape[1], size=len(index))]


def flat_maps(maps: Maps) -> Tensor:
    """(n, h, w, channels) as float32 (n, h * w * channels)."""
    return torch.from_numpy(maps.reshape(len(maps), -1).astype(np.float32))
