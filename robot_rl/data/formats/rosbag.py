"""ROS 2 bags (mcap and sqlite3) as steps, by a map from topics.

A step's observation and action are the newest at its tick; its next observation, reward and flags are those at the
next tick. A signal's `shift` moves the time at which it is taken, for a policy that answers late.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.formats.hdf5 import fingerprint, guarded
from robot_rl.data.formats.intake import Chosen, Column, Notices, Source, Want, choose, make_schema, scaled
from robot_rl.data.formats.mapping import ImportMap, Signal
from robot_rl.data.formats.messages import Bag, Message, open_bag
from robot_rl.data.formats.resample import Rule, Tick, resample
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError

FLAGS = ("terminated", "truncated", "success", "intervened")
EPISODE = "step/episode"
_PROBE = 100_000
"""Messages that are looked through for the first of every topic."""


def bag_file(path: Path) -> Path | None:
    """The file or folder that rosbags opens, where `path` is a bag."""
    if path.is_file():
        return path if path.suffix in (".mcap", ".db3") else None
    if (path / "metadata.yaml").is_file():
        return path
    files = [*path.glob("*.mcap"), *path.glob("*.db3")] if path.is_dir() else []
    return files[0] if len(files) == 1 else None


@contextmanager
def open_rosbag(path: Path, want: Want) -> Iterator[Source]:
    """A bag's steps, streamed. Raises `DataError`."""
    file = bag_file(path)
    if file is None:
        raise DataError(f"{path} is no bag: it has no metadata.yaml, nor one file .mcap or .db3")
    with open_bag(file) as bag:
        yield _source(bag, path, want)


def _source(bag: Bag, path: Path, want: Want) -> Source:
    asked = want.map
    signals = asked.signals
    if not signals or not asked.action or asked.rate is None:
        raise DataError(
            f"{path} is a bag and needs a map (--map FILE.yaml) with observation, action and rate; "
            f"its topics: {', '.join(f'{name} ({kind})' for name, kind in sorted(bag.topics.items()))}"
        )
    notices = Notices()
    named = _named(asked)
    for signal in named.values():
        bag.need(signal.topic)
    first = _first_values(bag, named)
    columns = {}
    for name in signals:
        value = first[name]
        if value is None:
            notices.add(f"left out: {name} ({signals[name].topic} shows depth)")
        else:
            columns[name] = Column(value.shape, value.dtype)
    plain = replace(want, map=replace(asked, observation={name: name for name in columns}))
    chosen = choose(columns, plain, notices)
    action = _action(bag, asked, first, "its first action")
    schema = make_schema(path.stem, chosen, action.shape[1], (), want, str(path))
    steps = _Steps(bag, want, chosen, schema, notices)
    files = path if path.is_file() else max((file for file in path.iterdir() if file.is_file()), key=_size)
    transitions = guarded(path, steps.all(fingerprint(files)))
    return Source(schema, transitions, int(bag.seconds * asked.rate), notices)


def _size(path: Path) -> int:
    return path.stat().st_size


def _named(asked: ImportMap) -> dict[str, Signal]:
    """Every signal of the map by a name of its own: observations by theirs, others by the map's key."""
    found = dict(asked.signals)
    found |= {f"action/{index}": signal for index, signal in enumerate(asked.action)}
    others = {name: getattr(asked, name) for name in ("reward", "episode", *FLAGS)}
    return found | {f"step/{name}": signal for name, signal in others.items() if signal is not None}


def _first_values(bag: Bag, named: dict[str, Signal]) -> dict[str, NDArray | None]:
    """The first value of each signal. Raises `DataError` where a topic is silent."""
    missing, found = dict(named), {}
    topics = {signal.topic for signal in named.values()}
    for count, message in enumerate(bag.messages(topics)):
        for name in [name for name, signal in missing.items() if signal.topic == message.topic]:
            signal = missing.pop(name)
            found[name] = None if name == EPISODE else bag.value(message, signal)
        if not missing or count > _PROBE:
            break
    silent = sorted({signal.topic for name, signal in missing.items() if not name.startswith("step/")})
    if silent:
        raise DataError(f"{', '.join(silent)} has no message in {bag.path}; leave it out of the map")
    return found


def _action(bag: Bag, asked: ImportMap, values: dict[str, Any], where: str) -> NDArray[np.float32]:
    """The action (1, dim) joined of its parts."""
    parts = [values[f"action/{index}"] for index in range(len(asked.action))]
    if any(part is None or part.ndim != 1 for part in parts):
        raise DataError(f"{bag.path}: the action's topic shows pictures, not numbers")
    return scaled(np.concatenate(parts)[None], asked.scale, f"{bag.path}: {where}")


@dataclass
class _Steps:
    """Ticks joined into transitions."""

    bag: Bag
    want: Want
    chosen: list[Chosen]
    schema: Schema
    notices: Notices

    def all(self, mark: str) -> Iterator[Transition]:
        """Every step of the bag; an episode's last one ends it."""
        held: Transition | None = None
        for transition in self._joined(mark):
            if held is not None:
                ended = held.episode != transition.episode and not (held.terminated or held.truncated)
                yield replace(held, truncated=True) if ended else held
            held = transition
        if held is not None:
            yield held if held.terminated else replace(held, truncated=True)

    def _joined(self, mark: str) -> Iterator[Transition]:
        """Pairs of ticks. What comes before the episode's topic names one, or after that one's end, belongs to none."""
        before: tuple[Tick[Message], dict[str, NDArray]] | None = None
        episode, step, over = -1, 0, self.want.map.episode is not None
        for tick in self._ticks():
            over = over and tick.begins != "restart"
            if over:
                continue
            if tick.begins == "silence":
                self.notices.add("{} times a topic was silent for too long: the episode is cut there")
            here = self._observation(tick)
            if before is None or tick.begins:
                episode, step = episode + 1, 0
                before = tick, here
                continue
            transition = self._transition(*before, tick, here, f"{mark}/{episode}", step)
            yield transition
            step, before = step + 1, (tick, here)
            if transition.terminated or transition.truncated:
                before, over = None, self.want.map.episode is not None

    def _ticks(self) -> Iterator[Tick[Message]]:
        asked = self.want.map
        named = _named(asked)
        rules = {name: _rule(name, signal) for name, signal in named.items()}
        by_topic: dict[str, list[str]] = {}
        for name, signal in named.items():
            by_topic.setdefault(signal.topic, []).append(name)
        assert asked.rate is not None
        return resample(self._messages(by_topic), rules, asked.rate, asked.gap)

    def _messages(self, by_topic: dict[str, list[str]]) -> Iterator[tuple[str, int, Message]]:
        """For each name the messages of its topic; of the episode's those alone that say another than before."""
        late, said = 0, ""
        for message in self.bag.messages(set(by_topic)):
            if message.stamp < late:
                raise DataError(f"{message.topic} goes back in time at {message.stamp * 1e-9:.3f} s; sort the bag")
            late = message.stamp
            for name in by_topic[message.topic]:
                if name == EPISODE and self.want.map.episode is not None:
                    text = self.bag.text(message, self.want.map.episode)
                    if text == said:
                        continue
                    said = text
                yield name, message.stamp, message

    def _observation(self, tick: Tick[Message]) -> dict[str, NDArray]:
        """The tick's observation, converted."""
        values = {}
        for item in self.chosen:
            value = self.bag.value(tick.values[item.source], self.want.map.signals[item.source])
            if value is None or (value.shape, value.dtype) != (item.column.shape, item.column.dtype):
                found = "depth" if value is None else f"{value.dtype} {value.shape}"
                raise DataError(
                    f"'{item.source}' is {found} at {tick.stamp * 1e-9:.3f} s, not {item.column.dtype} "
                    f"{item.column.shape} as before"
                )
            values[item.field.name] = item.convert(value[None])[0]
        return values

    def _transition(
        self,
        tick: Tick[Message],
        observation: dict[str, NDArray],
        after: Tick[Message],
        following: dict[str, NDArray],
        episode: str,
        step: int,
    ) -> Transition:
        asked, bag = self.want.map, self.bag
        parts = {
            f"action/{index}": bag.value(tick.values[f"action/{index}"], signal)
            for index, signal in enumerate(asked.action)
        }
        action = _action(bag, asked, parts, f"at {tick.stamp * 1e-9:.3f} s")[0]
        if action.shape != (len(self.schema.actions),):
            raise DataError(f"the action has {action.size} numbers at {tick.stamp * 1e-9:.3f} s, otherwise than before")
        flags = {name: self._flag(after, name) for name in FLAGS}
        reward = after.values.get("step/reward")
        return Transition(
            actor="import",
            sequence=0,
            episode=episode,
            step=step,
            stamp=tick.stamp * 1e-9,
            next_stamp=after.stamp * 1e-9,
            observation=observation,
            next_observation=following,
            policy_action=action,
            action=action,
            intervened=flags["intervened"],
            reward=0.0 if reward is None or asked.reward is None else self._number(reward, asked.reward),
            terminated=flags["terminated"],
            truncated=flags["truncated"] and not flags["terminated"],
            success=flags["success"],
            policy_version=0,
        )

    def _flag(self, tick: Tick[Message], name: str) -> bool:
        """Whether a flag was raised since the tick before."""
        signal = getattr(self.want.map, name)
        return any(self._number(message, signal) != 0 for message in tick.events.get(f"step/{name}", []))

    def _number(self, message: Message, signal: Signal) -> float:
        value = self.bag.value(message, signal)
        if value is None or value.size != 1:
            raise DataError(f"{signal.topic} has {0 if value is None else value.size} numbers; name one with field")
        return float(value.reshape(()))


def _rule(name: str, signal: Signal) -> Rule:
    """How a signal of `_named` is sampled."""
    needed = not name.startswith("step/")
    event = name.removeprefix("step/") in FLAGS
    return Rule(round(signal.shift * 1e9), needed, signal.hold, event, restart=name == EPISODE)
