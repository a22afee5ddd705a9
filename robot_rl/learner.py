"""The learner: takes in experience, updates the agent in blocks, gives out policies. Knows nothing of ROS."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from robot_rl.agents import make_agent
from robot_rl.agents.guard import REFUSED
from robot_rl.agents.initial import begin_with
from robot_rl.agents.iql import IQL
from robot_rl.blocks import plan
from robot_rl.checkpoint import AGENT_FILE, POLICY_FILE, Checkpoint, Contents, reading, save_checkpoint
from robot_rl.config import CLONING, OFFLINE, RunConfig
from robot_rl.data.label import Label, Record
from robot_rl.data.replay import Prefetcher, Replay, Sampler
from robot_rl.data.transition import Observation, Transition
from robot_rl.exceptions import ConfigError, DataError
from robot_rl.experience import Experience, Records
from robot_rl.nets.observation import ObservationSpec
from robot_rl.nets.pytree import from_named_leaves, named_leaves
from robot_rl.refused import Refusals
from robot_rl.returns import Returns
from robot_rl.rewards.learnt import LearntReward
from robot_rl.spaces import describe, differences
from tasks.spec import GripperSpec

QUEUE = 512
"""Records that wait in memory for later blocks. What comes beyond is not taken: its actor's journal keeps it."""


class Learner:
    """Agent, experience and bookkeeping of one run.

    Block j = 0, 1, ... is due once start + block * j transitions have been received. It makes utd * block critic
    steps and yields version j + 1; version 0 is untrained. In lockstep it sees exactly the first start + block * j
    transitions, so what it computes depends on their order and not on when they came; in real time it sees all
    that came. An offline agent's blocks are due at once, and draw from the demonstrations alone: one of bc_steps for
    "bc", of 1,000 each at most for others (`blocks.plan`). With DAgger bc_steps on the demonstrations make version 0.

    `receive`, `next_sequence`, `durable`, `received` and `full` may be used from another thread than the rest.
    """

    def __init__(
        self,
        config: RunConfig,
        observation: Observation,
        action_dim: int,
        demos: Records | None = (),
        *,
        imported: Records = (),
        replay: Path | None = None,
        refused: Path | None = None,
        gripper: GripperSpec | None = None,
        judge: LearntReward | None = None,
    ):
        """observation: an example, for names and shapes. config.learner: with the task's overrides applied.

        demos: None where `restore` follows. imported: a source of its own beside them. replay: folder for the
        memory-mapped replay of a run with images; what lies there is removed unless it is restored. refused: folder
        that keeps batches whose update was refused. gripper: of the task, for a grasp critic. judge: a learnt reward.

        ConfigError: a value that cannot work. DataError: a demonstration with other observations.
        """
        settings = config.learner
        self.config = config
        self.spec = ObservationSpec.of(observation)
        self.action_dim = action_dim
        self.agent = make_agent(config.agent, settings, observation, action_dim, config.seed, gripper=gripper)
        self.version = 0
        self.refusals = Refusals(refused)
        self.experience = Experience(config, self.spec, action_dim, replay, _labeller(config), judge)
        self.returns = Returns()
        self._slices, self._calls, self._blocks = plan(config.agent, settings)
        self._lock = threading.Lock()  # of what follows, but the agent and the experience have another
        self._queue: deque[Record] = deque()
        self._next: dict[str, int] = {}  # of each actor, the sequence that comes next into the queue
        self._received = 0
        self._learnt: dict[str, int] = {}  # of each actor, the sequence that comes next into the replay
        self._durable: dict[str, int] = {}  # the same, of the newest checkpoint
        self._used = 0  # transitions that went into the replay
        self._at_work = threading.Lock()
        self._message: tuple[int, bytes] | None = None
        if demos is not None:
            self.experience.begin(demos, imported, self._checked)
            self._prepare_agent()
            self._clone_first()

    def receive(self, records: Iterable[Record]) -> int:
        """Take those that come next in their actor's sequence, ignore all others; return how many were taken.

        Once it is `full` nothing more is taken: offer that again later.
        DataError: a transition that is due is malformed or not finite; it and what follows were not taken.
        """
        taken = 0
        for record in records:
            self._hand_over_if_idle()
            with self._lock:
                if record.sequence != self._next.get(record.actor, 0):
                    continue
                if len(self._queue) >= self._room:
                    break
                self._queue.append(self._checked(record))
                self._next[record.actor] = record.sequence + 1
                self._received += isinstance(record, Transition)
                taken += 1
        self._hand_over_if_idle()
        return taken

    def next_sequence(self, actor: str) -> int:
        """The sequence number wanted next from `actor`: all below it have been taken."""
        with self._lock:
            return self._next.get(actor, 0)

    def durable(self, actor: str) -> int:
        """The sequence up to which the newest checkpoint has what `actor` made."""
        return self._durable.get(actor, 0)

    @property
    def received(self) -> int:
        """Transitions taken so far, of all actors."""
        with self._lock:
            return self._received

    @property
    def full(self) -> bool:
        """Whether nothing more is taken until the next block has been done."""
        with self._lock:
            return len(self._queue) >= self._room

    @property
    def updates(self) -> int:
        """Gradient steps of the critic (of the policy, for "bc") so far."""
        return self.version * self._calls * self._slices

    @property
    def offline(self) -> bool:
        """Whether it learns from what was recorded before alone: then nothing is ever received."""
        return self.config.agent in OFFLINE

    @property
    def progress(self) -> int:
        """How far it is: environment steps received; gradient steps, where it is offline."""
        return self.updates if self.offline else self.received

    @property
    def learnt(self) -> tuple[int, int]:
        """What the newest version has learnt from, as `progress` counts, and the one before it."""
        block, before = self.config.learner.block, self.config.learner.start
        if self.offline:
            return self.updates, self.updates - self._calls * self._slices
        newest = before + block * (self.version - 1)
        return newest, newest - block

    @property
    def pacing(self) -> dict[str, float]:
        """How the learner keeps up; empty where it is offline, since nothing paces it.

        utd: updates per environment step so far, as configured or less; the first block is for the last `block` of
        the steps that it waited for. blocks_due: what is left to do for the steps received.
        """
        if self.offline:
            return {}
        settings, received = self.config.learner, self.received
        due = max(0, (received - self._due()) // settings.block + 1)
        return {
            "utd": round(self.updates / max(1, received - settings.start + settings.block), 3),
            "blocks_due": due,
        }

    @property
    def needs_checkpoint(self) -> bool:
        """Whether steps that the newest checkpoint counts on are soon overwritten."""
        return self.experience.online.needs_checkpoint

    def ready(self) -> bool:
        """Whether the next block is due."""
        if self.offline:
            return self.version < self._blocks
        return self.received >= self._due()

    def update_block(self) -> dict[str, float]:
        """Do the next block, which must be due, and return its metrics: means over the updates that were not refused.

        A block without anything to draw from, since all was discarded, passes without an update.
        DataError: too many updates were refused.
        """
        if not self.ready():
            raise RuntimeError(f"block {self.version} is due at {self._due()} transitions, not at {self.received}")
        if self.offline and not len(self.experience.demonstrations):
            raise ConfigError(
                f"agent {self.config.agent} learns from demonstrations and got none; give --demos N with N above 0"
            )
        started = time.perf_counter()
        collected = []
        with self.block():
            judged = self.experience.judge_anew()
            sampler, shape = self.experience.sampler, (self._slices, self.config.learner.batch)
            for batch in Prefetcher(sampler, self._calls, *shape) if sampler else ():
                self.agent, metrics = self.agent.update(batch)
                if self.refusals.look(self.version, batch, metrics):
                    collected.append(metrics)
            names = collected[0].keys() - {REFUSED} if collected else ()
            means = {name: float(np.mean([m[name] for m in collected])) for name in names}
            seen = len(self.experience.online)
        return {
            **means,
            **judged,
            "version": float(self.version),
            "updates": float(self.updates),
            "updates_per_s": self._calls * self._slices / (time.perf_counter() - started),
            "replay": float(seen),
            "refused": float(self.refusals.total),
            **self.pacing,
        }

    def _prepare_agent(self) -> None:
        """What a new agent takes from another run, and from what there was before this one."""
        if self.config.initial is not None:
            self.agent = begin_with(self.agent, self.config.initial)
        if isinstance(self.agent, IQL) and self.config.learner.normalise and len(self.experience.demonstrations):
            self.agent = self.agent.normalised(*self.experience.scales())

    def _clone_first(self) -> None:
        """DAgger begins with the policy that behaviour cloning makes of the demonstrations: that is version 0."""
        sampler, settings = self.experience.sampler, self.config.learner
        if self.config.agent in CLONING and sampler:
            for batch in Prefetcher(sampler, -(-settings.bc_steps // settings.utd), settings.utd, settings.batch):
                self.agent, _ = self.agent.update(batch)

    @contextmanager
    def block(self) -> Iterator[None]:
        """What happens within makes a new version: it sees all that came before, and none of what comes meanwhile."""
        with self._at_work:
            self._hand_over()
            yield
            self.version += 1
            self._hand_over()

    def warm_up(self) -> None:
        """Compile the update ahead of the first block, changing nothing."""
        zeros = self.spec.example()
        action = np.zeros(self.action_dim, np.float32)
        replay = Replay(self.spec, self.action_dim, 1, stack=self.config.learner.stack)
        replay.add(Transition("", 0, "", 0, 0, 0, zeros, zeros, action, action, False, 0, False, False, False, 0))
        batch = Sampler({"zeros": (replay, 1.0)}, 0).sample(self._slices, self.config.learner.batch)
        jax.block_until_ready(jax.tree.map(jax.numpy.copy, self.agent).update(batch))

    def policy_bytes(self) -> bytes:
        """The newest policy, as `robot_rl.agents.policy_from_bytes` reads it."""
        if self._message is None or self._message[0] != self.version:
            self._message = (self.version, self.agent.policy().to_bytes(self.version))
        return self._message[1]

    def save(self, folder: Path) -> Path:
        """Write a checkpoint of everything into `folder`, but for what the journals bring again.

        A learner that is restored from it, and is then sent what comes next, goes on bit for bit.
        """
        with self._at_work:
            self._hand_over()
            files, experience = self.experience.save()
            state = {
                "agent": self.config.agent,
                "version": self.version,
                "used": self._used,
                "next_sequence": self._learnt,
                "returns": self.returns.save(),
                "experience": experience,
                "spaces": self._spaces,
            }
            whole: dict[str, Contents] = {
                AGENT_FILE: named_leaves(self.agent),
                POLICY_FILE: self.policy_bytes(),
                **files,
            }
            step = self.updates if self.offline else self._used
            score = None if self.experience.judged else self.returns.mean
            saved = save_checkpoint(folder, f"step-{step}", whole, state, score=score)
            self._durable = dict(self._learnt)
            return saved

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint, with everything that it has.

        DataError: it is damaged, or its replay is gone; this learner is then of no more use.
        ConfigError: it is of another agent, or was made for other observations or actions, which are named.
        """
        state = checkpoint.state
        with reading(checkpoint.path):
            self.restore_agent(checkpoint)
            self.experience.restore(checkpoint)
            self.returns.restore(state["returns"])
            self._learnt = {str(actor): _count(number) for actor, number in state["next_sequence"].items()}
            self._used = _count(state["used"])
        self._next, self._received = dict(self._learnt), self._used
        self._durable = dict(self._learnt)

    def restore_agent(self, checkpoint: Checkpoint) -> None:
        """Take the agent alone: no block is due until the journals have brought again what it has learnt from.

        Raises as `restore` does, and then nothing was changed.
        """
        with reading(checkpoint.path):
            made_for = checkpoint.state["agent"]
            if made_for != self.config.agent:
                raise ConfigError(f"checkpoint {checkpoint.path} is of agent {made_for!r}; choose it with --agent")
            made_for = checkpoint.state.get("spaces", self._spaces)  # none in a checkpoint of an earlier release
            if odd := differences(self._spaces, made_for, "the checkpoint"):
                raise ConfigError(f"checkpoint {checkpoint.path} is of other observations or actions: {odd}")
            arrays = checkpoint.arrays(AGENT_FILE)
            if infinite := [name for name, values in arrays.items() if not np.isfinite(values).all()]:
                raise DataError(f"its agent is not finite in {infinite[0]}")
            version, agent = _count(checkpoint.state["version"]), from_named_leaves(self.agent, arrays)
        self.version, self.agent = version, agent

    def close(self) -> None:
        """Let another learner have the memory-mapped replay."""
        self.experience.close()

    @property
    def _spaces(self) -> dict[str, str]:
        """What the agent sees and does."""
        return describe(self.spec.stacked(self.config.learner.stack), self.action_dim)

    @property
    def _room(self) -> int:
        """Records that may wait: in lockstep at least those between two blocks."""
        return max(QUEUE, 2 * self.config.learner.block)

    def _due(self) -> int:
        return self.config.learner.start + self.config.learner.block * self.version

    def _hand_over_if_idle(self) -> None:
        """What a block at work may not see yet waits for its end."""
        if self._at_work.acquire(blocking=False):
            try:
                self._hand_over()
            finally:
                self._at_work.release()

    def _hand_over(self) -> None:
        """Move what the next block may see from the queue into the replay. What cannot be stored stays in the queue."""
        while (record := self._next_in_queue()) is not None:
            self.experience.add(record)
            if isinstance(record, Transition):
                self.returns.add(record)
            with self._lock:
                self._queue.popleft()
                self._learnt[record.actor] = record.sequence + 1
                self._used += isinstance(record, Transition)

    def _next_in_queue(self) -> Record | None:
        """What goes into the replay next, if anything may."""
        with self._lock:
            waits = self.config.clock == "lockstep" and self._used >= self._due()
            return self._queue[0] if self._queue and not waits else None

    def _checked(self, record: Record) -> Record:
        if isinstance(record, Label):
            return record  # a label that is none cannot be made
        for observation in (record.observation, record.next_observation):
            self.spec.check(observation)
        where = f"transition {record.sequence} of actor {record.actor!r}"
        if record.action.shape != (self.action_dim,):
            raise DataError(f"{where} has an action of shape {record.action.shape}, not ({self.action_dim},)")
        if not (np.isfinite(record.action).all() and np.isfinite(record.reward)):
            raise DataError(f"{where} has action {record.action} and reward {record.reward}; both must be finite")
        return record


def _labeller(config: RunConfig) -> Callable[[Observation], NDArray] | None:
    """What DAgger's expert would have done, where the run has one."""
    if config.agent != "dagger":
        return None
    from robot_rl.interveners.experts import load_policy

    policy, stack = load_policy(config, config.expert)
    if stack != 1:
        raise ConfigError(f"the expert {config.expert} sees {stack} observations at once, agent dagger's sees one")
    return lambda observation: policy.act(observation, None)


def _count(value: Any) -> int:
    """A number that counts something. DataError: it cannot."""
    if type(value) is not int or value < 0:
        raise DataError(f"it counts {value!r}")
    return value
