"""Comparisons while a run goes (RL-VLM-F, Wang et al., 2024): now and then some are asked for, and the reward is learnt
anew from all of them. What it takes to ask goes on beside the learner; in lockstep the learner waits for it.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.replay import Replay
from robot_rl.data.transition import Transition
from robot_rl.exceptions import RobotRLError
from robot_rl.rewards.classifier.data import SUFFIX, Frames
from robot_rl.rewards.learnt import in_pieces
from robot_rl.rewards.preference.chat import BudgetSpent
from robot_rl.rewards.preference.configuration import FeedbackConfig, RewardConfig
from robot_rl.rewards.preference.ensemble import LEAST, PreferenceReward, fit, load_reward
from robot_rl.rewards.preference.judges import Judge
from robot_rl.rewards.preference.labelling import estimate, label, left_to_ask
from robot_rl.rewards.preference.opening import open_judge
from robot_rl.rewards.preference.pool import Pool
from robot_rl.rewards.preference.store import Preference, counts, read_preferences


class FeedbackReward:
    """A reward from comparisons of what the run itself reached, and of its demonstrations where they have pictures.

    Folder: `moments/` of the pool, the answers as `robot-rl preferences label` keeps them, and `reward-N` of session N.
    """

    source = "preference"

    def __init__(
        self,
        config: FeedbackConfig,
        folder: Path,
        cameras: tuple[str, ...],
        *,
        task: str,
        backbone_id: str,
        seed: int,
        wait: bool,
        tell: Callable[[str], None],
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """task: the run's. wait: for each session. tell: gets sentences for a person. stop: whether the run is to end.

        Raises what `open_judge` does.
        """
        self._config, self._folder, self._task, self._seed = config, folder, task, seed
        self._pool = Pool(folder / "moments", cameras, config.share, config.length, backbone_id)
        self._wait, self._tell = wait, tell
        self._own = 0  # steps that the run made itself
        self._due = 0  # of these, before the next session
        self._sessions = 0  # begun
        self._version = 0  # session whose reward holds; 0: none yet
        self._reward: PreferenceReward | None = None
        self._over = False
        self._closed, self._run_ends = threading.Event(), stop
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="feedback")
        self._running: Future[_Session] | None = None
        self._judging = open_judge(config, folder, config.pairs, self._stop, tell)
        self._judge: Judge = self._judging.__enter__()

    def saw(self, step: Transition, shown: bool) -> None:
        self._own += not shown
        self._pool.saw(step)

    def learn(self, reached: Replay) -> tuple[bool, dict[str, float]]:
        """Begin a session if one is due, and take the reward of the one that ended.

        The first may not fail: without it there is no reward. What stops a later one is told, and the next one tries.
        """
        due = self._own >= self._due and not self._over and len(self._pool) >= 4 * self._config.length
        if self._running is None and due and len(reached):
            self._sessions += 1
            self._due = self._own + self._config.every
            self._running = self._beside.submit(self._session, self._sessions, self._pool.frames(), self._reward)
        if self._running is None or not (self._wait or self._running.done()):
            return False, {}
        running, self._running = self._running, None
        try:
            session = running.result()
        except (_Stopped, KeyboardInterrupt):
            self._sessions, self._due = self._sessions - 1, 0  # whoever goes on begins it again
            return False, {}
        except RobotRLError as error:
            if self._reward is None:
                raise
            self._tell(f"comparisons: {error}; the reward stays as it is")
            return False, {}
        self._over = session.over
        if session.version == self._version:
            return False, {}
        self._version = session.version
        return self._take()

    def _stop(self) -> bool:
        return self._closed.is_set() or self._run_ends()

    def _take(self) -> tuple[bool, dict[str, float]]:
        """The reward of the newest session that had enough to learn from."""
        if not self._version:
            return False, {}
        self._reward = load_reward(self._folder / f"reward-{self._version}")
        about = self._reward.about
        return True, {"comparisons": float(about["comparisons"]), "comparisons_right": float(about["right_held_out"])}

    def _session(self, number: int, frames: Frames, reward: PreferenceReward | None) -> _Session:
        """Ask, and learn from every answer so far."""
        config = self._config
        wanted = min(config.pairs, number * config.session)
        asked = dataclasses.replace(config, pairs=wanted, seed=self._seed + number)
        known = _among(read_preferences(self._folder), frames, number)
        plain = {name: maps[:, 0] for name, maps in frames.maps.items()}
        values = reward.values(plain) if reward is not None else None
        pairs = left_to_ask(frames, asked, known, values)
        if number == 1:
            requests, cost = estimate(frames, config, config.pairs)
            price = f", some {cost:.3g} by the prices given" if cost else ""
            self._tell(f"comparisons: {config.pairs:,} at most, {requests:,} requests{price}")
        over = wanted == config.pairs
        try:
            label(frames, asked, self._judge, self._folder, pairs, stop=self._stop, session=number)
        except BudgetSpent as error:
            self._tell(f"comparisons: {error}; no more are asked for")
            over = True
        if self._stop():
            raise _Stopped
        known = _among(read_preferences(self._folder), frames, number)
        answered = sum(one.answer is not None for one in known)
        by_status = ", ".join(f"{count:,} {status}" for status, count in counts(known).items() if count)
        self._tell(f"comparisons: {by_status or 'none'} so far")
        if answered < LEAST:
            return _Session(self._version, over)
        made = fit(frames, known, config.length, RewardConfig(seed=self._seed + number), self._task)
        folder = self._folder / f"reward-{number}"
        folder.mkdir(exist_ok=True)
        made.save(folder)
        return _Session(number, over)

    def reward(self, observations: Mapping[str, NDArray]) -> NDArray[np.float32]:
        """(n,), from -1 to 1; nothing is worth anything before the first session."""
        reward = self._reward
        if reward is None:
            return np.zeros(len(next(iter(observations.values()))), np.float32)
        maps = {name.removesuffix(SUFFIX): values[:, 0] for name, values in observations.items() if SUFFIX in name}
        return in_pieces(reward.reward, maps)

    def save(self) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """What a session that goes on meanwhile says is on the disk by itself: it is begun again."""
        goes_on = self._running is not None
        state = {"own": self._own, "due": 0 if goes_on else self._due, "sessions": self._sessions - goes_on}
        return {}, state | {"version": self._version, "moments": self._pool.places()}

    def restore(self, arrays: Mapping[str, NDArray], state: Mapping[str, Any]) -> None:
        """DataError: a moment or a reward is gone."""
        self._own, self._due, self._sessions, self._version = (
            int(state[name]) for name in ("own", "due", "sessions", "version")
        )
        # a budget that was spent may have been raised since
        self._over = self._sessions * self._config.session >= self._config.pairs
        self._pool.restore(state["moments"])
        self._take()

    def close(self) -> None:
        """Stop asking; what was answered is kept."""
        self._closed.set()
        self._beside.shutdown()
        self._pool.close()
        self._judging.__exit__(None, None, None)


class _Session(NamedTuple):
    """version: number of the session whose reward holds now. over: nothing more is to be asked."""

    version: int
    over: bool


class _Stopped(Exception):
    """A session that was cut short: what was answered is on the disk."""


def _among(preferences: list[Preference], frames: Frames, session: int) -> list[Preference]:
    """Those of moments that are held, up to that session, each pair once.

    A run that went back to a checkpoint has later ones on the disk: they are asked for again when their time comes, and
    known then.
    """
    held = set(frames.place)
    counted = [one for one in preferences if one.session <= session and {one.first, one.second} <= held]
    return list({(one.first, one.second): one for one in counted}.values())
