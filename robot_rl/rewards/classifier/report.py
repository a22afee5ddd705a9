"""What a trained classifier is worth, to look at: `report.json`, `roc.png`, and the worst frames as `worst.png`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_rl.curves import BLUE, GREY, STYLE
from robot_rl.rewards.classifier.data import SUCCESS, Frames, Picture
from robot_rl.rewards.classifier.model import log_odds
from robot_rl.rewards.classifier.training import Trained, roc

WORST = 12
"""Frames that `worst.png` shows."""


def write_report(trained: Trained, folder: Path) -> None:
    """Into the classifier's own folder. `worst.png` only where the set holds pictures."""
    (folder / "report.json").write_text(json.dumps(trained.classifier.about, indent=1) + "\n")
    success = trained.reported.label == SUCCESS
    _draw(trained.probability, success, trained.classifier.about, folder / "roc.png")
    if trained.reported.pictures:
        wrong = np.where(success, 1 - trained.probability, trained.probability)
        worst = np.argsort(-wrong, kind="stable")[:WORST]
        titles = [f"p {trained.probability[i]:.3f}, is {'a success' if success[i] else 'none'}" for i in worst]
        grid([trained.reported.pictures[i] for i in worst], titles, folder / "worst.png")


def grid(moments: Sequence[Mapping[str, Picture]], titles: Sequence[str], path: Path, columns: int = 4) -> None:
    """Moments, their cameras side by side, with a title each."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = max(1, -(-len(moments) // columns))
    with pyplot.rc_context(STYLE):
        size = (3.2 * columns, 1.9 * rows)
        figure, axes = pyplot.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, moment, title in zip(axes.flat, moments, titles, strict=False):
            axis.imshow(_side_by_side(moment))
            axis.set_title(title, fontsize=8, fontweight="normal")
        figure.savefig(path, dpi=110)
        pyplot.close(figure)


def _side_by_side(moment: Mapping[str, Picture]) -> Picture:
    """The cameras' pictures in one, each of the first one's height."""
    pictures = [moment[name] for name in sorted(moment)]
    height = pictures[0].shape[0]
    rows = [np.linspace(0, len(picture) - 1, height).astype(int) for picture in pictures]
    return np.concatenate([picture[index] for picture, index in zip(pictures, rows, strict=True)], axis=1)


def _draw(probability: NDArray[Any], success: NDArray[np.bool_], about: Mapping[str, Any], path: Path) -> None:
    """The ROC curve, with the chosen threshold on it, and how probabilities are spread."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    false, true = roc(probability, success)
    with pyplot.rc_context(STYLE):
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
        left.plot(false, true, color=BLUE, drawstyle="steps-post")
        left.plot([about["false_positive_rate"]], [about["recall"]], "o", color="black")
        left.annotate(
            f"threshold {about['threshold']:.3f}",
            (about["false_positive_rate"], about["recall"]),
            (12, -14),
            textcoords="offset points",
        )
        left.set(xlabel="false positives", ylabel="true positives", title=f"ROC, area {about['auc']:.4f}")
        left.set(xlim=(-0.02, 1), ylim=(0, 1.02))
        bins = np.linspace(0, 1, 31).tolist()
        right.hist(probability[~success], bins, color=GREY, label="no success")
        right.hist(probability[success], bins, color=BLUE, alpha=0.7, label="success")
        right.axvline(about["threshold"], color="black", linewidth=1)
        right.set(yscale="log", xlabel="probability of success", ylabel="frames", title="held-out frames")
        right.legend(frameon=False)
        figure.savefig(path, dpi=120)
        pyplot.close(figure)


def frames_near(probability: NDArray[np.float32], threshold: float, count: int, frames: Frames) -> NDArray[np.int64]:
    """The `count` frames whose log odds are nearest to the threshold's, no two of them neighbours in an episode."""
    distance = np.abs(log_odds(probability) - log_odds(np.array(threshold)))
    chosen: list[int] = []
    taken: set[tuple[str, int]] = set()
    for index in np.argsort(distance, kind="stable"):
        episode, step = frames.place[index]
        if not {(episode, step + shift) for shift in (-1, 0, 1)} & taken:
            chosen.append(int(index))
            taken.add((episode, step))
        if len(chosen) == count:
            break
    return np.array(chosen, np.int64)
