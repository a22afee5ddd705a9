"""New sets out of old ones: joined, or less. What they are made of stays as it is; no picture is decoded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from robot_rl.data.demos import check_same
from robot_rl.data.formats.experience import Experience
from robot_rl.data.formats.pieces import kept, pieces
from robot_rl.data.formats.whole import Progress, Written, refuse_taken, write_set
from robot_rl.data.label import EPISODE, Label, Record
from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError


@dataclass
class EpisodeSummary:
    """One episode as the labels have it.

    total: sum of the rewards. ended: "terminated", "truncated", or "open" (the end of the run, or a crash).
    discarded: steps that are not to be learnt from. seconds: on the run's clock. steps: that were recorded.
    """

    name: str
    actor: str
    steps: int = 0
    total: float = 0.0
    success: bool = False
    ended: str = "open"
    interventions: int = 0
    discarded: int = 0
    seconds: float = 0.0


def summarise(experience: Experience, progress: Progress | None = None) -> list[EpisodeSummary]:
    """The episodes, in order of their beginning."""
    labels = experience.judgement()
    found: dict[str, EpisodeSummary] = {}
    for count, step in enumerate(experience.steps(packed=True), 1):
        episode = found.setdefault(step.episode, EpisodeSummary(step.episode, step.actor))
        episode.steps += 1
        episode.total += labels.reward(step.episode, step.step, step.reward)
        episode.success = labels.success(step.episode, step.step, step.success)
        episode.ended = "terminated" if step.terminated else "truncated" if step.truncated else "open"
        episode.interventions += step.intervened
        episode.discarded += labels.discarded(step.episode, step.step)
        episode.seconds += step.next_stamp - step.stamp
        if progress is not None:
            progress(count)
    return list(found.values())


def chosen(episodes: Sequence[EpisodeSummary], asked: str) -> set[str]:
    """Names of the episodes that `asked` lists: numbers from 0, ranges and names: `0-9,12,NAME`. Raises `DataError`."""
    names = [episode.name for episode in episodes]
    found: set[str] = set()
    for part in filter(None, (part.strip() for part in asked.split(","))):
        first, dash, last = part.partition("-")
        if part in names:
            found.add(part)
        elif first.isdigit() and (last.isdigit() if dash else True):
            start, stop = int(first), int(last or first) + 1
            if not start < stop <= len(names):
                raise DataError(f"--episodes has {part}, but there are the episodes 0 to {len(names) - 1}")
            found.update(names[start:stop])
        else:
            raise DataError(f"--episodes has '{part}', which is neither a number, a range (0-9), nor an episode's name")
    return found


@dataclass(frozen=True)
class Trim:
    """What a trimmed set leaves out. episodes: names of those that stay, or None for all."""

    episodes: Collection[str] | None = None
    drop_failures: bool = False
    drop_discarded: bool = False

    def keeps(self, episode: EpisodeSummary) -> bool:
        """Whether at least a step of the episode stays."""
        if self.episodes is not None and episode.name not in self.episodes:
            return False
        if self.drop_failures and not episode.success:
            return False
        return not (self.drop_discarded and episode.discarded == episode.steps)


def trim(
    experience: Experience,
    episodes: Sequence[EpisodeSummary],
    rule: Trim,
    folder: Path,
    progress: Progress | None = None,
) -> Written:
    """Write the steps that the rule keeps, and their labels, as a new set. Raises `DataError`.

    An episode that loses steps in its middle becomes several: `NAME`, `NAME.1`, each a whole episode.
    """
    refuse_taken(folder)
    names = {episode.name for episode in episodes if rule.keeps(episode)}
    if not names:
        raise DataError(f"nothing of {experience.path} would be left; nothing was written")
    moves = _Moves()

    def records() -> Iterator[Record]:
        labels = experience.judgement()

        def keep(step: Transition) -> bool:
            gone = rule.drop_discarded and labels.discarded(step.episode, step.step)
            if gone:
                moves.drop(step)
            return not gone

        here = (step for step in experience.steps(packed=True) if step.episode in names)
        yield from pieces(kept(here, keep), moves.move)
        for label in experience.labels:
            if label.episode in names:
                yield from moves.of(label)

    return write_set(folder, experience.schema, records(), progress)


@dataclass
class _Moves:
    """Where the steps of episodes in pieces went; episodes that stay whole are not listed."""

    places: dict[str, dict[int, tuple[str, int]]] = field(default_factory=dict)
    dropped: dict[str, set[int]] = field(default_factory=dict)

    def drop(self, step: Transition) -> None:
        self.dropped.setdefault(step.episode, set()).add(step.step)

    def move(self, before: Transition, after: Transition) -> None:
        self.places.setdefault(before.episode, {})[before.step] = after.episode, after.step

    def of(self, label: Label) -> Iterator[Label]:
        """The label for each piece that it is about."""
        places = self.places.get(label.episode, {})
        if label.step == EPISODE:
            for name in sorted({label.episode, *(name for name, _ in places.values())}):
                yield replace(label, episode=name)
        elif label.step in places:
            name, step = places[label.step]
            yield replace(label, episode=name, step=step)
        elif label.step not in self.dropped.get(label.episode, set()):
            yield label


def merge(sources: Sequence[Experience], folder: Path, progress: Progress | None = None) -> Written:
    """Write several as one new set, in this order. Raises `DataError` where they differ, or hold an episode twice."""
    refuse_taken(folder)
    check_same_form(sources)
    return write_set(folder, sources[0].schema, _joined(sources), progress)


def check_same_form(sources: Sequence[Experience]) -> None:
    """Raise `DataError`, naming the difference, unless all have one schema."""
    for other in sources[1:]:
        check_same(other.schema, sources[0].schema, f"the steps in {other.path}")


def _joined(sources: Iterable[Experience]) -> Iterator[Record]:
    owner: dict[str, Path] = {}
    for source in sources:
        for step in source.steps(packed=True):
            first = owner.setdefault(step.episode, source.path)
            if first != source.path:
                raise DataError(f"episode '{step.episode}' is in {first} and in {source.path}; leave one of them out")
            yield step
        yield from source.labels
