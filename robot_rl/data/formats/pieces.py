"""Episodes without holes: each step observes what the step before it led to, counted from 0."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator

from robot_rl.data.codec import Packed
from robot_rl.data.label import Labels
from robot_rl.data.png import same_picture
from robot_rl.data.transition import Transition

Moved = Callable[[Transition, Transition], None]
"""Told of a step that has another place than before: as it was, and as it is."""


def pieces(transitions: Iterable[Transition], moved: Moved | None = None) -> Iterator[Transition]:
    """The same steps, but an episode with holes becomes several: `NAME`, `NAME.1`, `NAME.2`.

    The last step before a hole is truncated. A journal stores a frame once, as next observation and observation, so a
    step that observes otherwise than the one before it led to begins a piece too.
    """
    before: Transition | None = None  # as it was
    held: Transition | None = None  # as it will be
    piece = start = 0
    for transition in transitions:
        if before is None or transition.episode != before.episode:
            piece, start = 0, transition.step
        elif transition.step != before.step + 1 or not leads_to(before, transition):
            piece, start = piece + 1, transition.step
            if held is not None and not held.terminated:
                held = dataclasses.replace(held, truncated=True)
        if held is not None:
            yield held
        before = held = transition
        if piece or start:
            name = f"{transition.episode}.{piece}" if piece else transition.episode
            held = dataclasses.replace(transition, episode=name, step=transition.step - start)
            if moved is not None:
                moved(transition, held)
    if held is not None:
        yield held


def leads_to(before: Transition, after: Transition) -> bool:
    """Whether `after` observes what `before` led to, to the bit."""
    seen, found = before.next_observation, after.observation
    if not all(seen[name].tobytes() == found[name].tobytes() for name in seen):
        return False
    if not (isinstance(before, Packed) and isinstance(after, Packed)):
        return True
    frames = zip(before.halves[1], after.halves[0], strict=True)
    return all(one == other or same_picture(one, other) for one, other in frames)


def kept(transitions: Iterable[Transition], keep: Callable[[Transition], bool]) -> Iterator[Transition]:
    """The steps that are kept; the last one before steps that are not is truncated."""
    held: Transition | None = None
    for transition in transitions:
        same = held is not None and held.episode == transition.episode
        if keep(transition):
            if held is not None:
                yield held
            held = transition
        elif same and held is not None and not held.terminated:
            held = dataclasses.replace(held, truncated=True)
    if held is not None:
        yield held


def judged(transitions: Iterable[Transition], labels: Labels) -> Iterator[Transition]:
    """The steps as labels have them: their rewards and successes, in pieces, without what is discarded."""

    def relabelled() -> Iterator[Transition]:
        for step in kept(transitions, lambda step: not labels.discarded(step.episode, step.step)):
            yield dataclasses.replace(
                step,
                reward=labels.reward(step.episode, step.step, step.reward),
                success=labels.success(step.episode, step.step, step.success),
            )

    return pieces(relabelled())
