"""The learner: takes in transitions, updates the agent in blocks, gives out policies. Knows nothing of ROS."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

import jax
import numpy as np
from numpy.typing import NDArray

from robot_rl.agents import make_agent
from robot_rl.checkpoint import Checkpoint, newest_checkpoint, save_checkpoint
from robot_rl.config import RunConfig
from robot_rl.data.replay import Batch, Replay, Sampler
from robot_rl.data.stack import stack, unstack
from robot_rl.data.transition import Observation, Transition
from robot_rl.exceptions import ConfigError, DataError
from robot_rl.nets.observation import ObservationSpec
from robot_rl.nets.pytree import from_named_leaves, named_leaves

POLICY_FILE = "policy.safetensors"
BC_SLICES = 100
"""Steps of behaviour cloning in one compiled call."""


class Learner:
    """Agent, replay and bookkeeping of one run.

    Block j = 0, 1, ... is due once start + block * j transitions have been received. It sees exactly the first
    start + block * j of them, makes utd * block critic steps, and yields version j + 1; version 0 is untrained.
    What it computes thus depends on the order of transitions and not on when they came. With agent "bc" there
    is one block, due at once, of bc_steps on the demonstrations.

    `receive`, `next_sequence` and `received` may be used from another thread than the rest.
    """

    def __init__(self, config: RunConfig, observation: Observation, action_dim: int, demos: Sequence[Transition] = ()):
        """observation: an example, for names and shapes. config.learner: with the task's overrides applied.

        ConfigError: a value that cannot work. DataError: a demonstration with other observations.
        """
        settings = config.learner
        self.config = config
        self.spec = ObservationSpec.of(observation)
        self.action_dim = action_dim
        self.agent = make_agent(config.agent, settings, observation, action_dim, config.seed)
        self.version = 0
        self.online = self._replay(settings.capacity)
        self.demonstrations = self._replay(max(1, len(demos)))
        self.sampler = self._make_sampler()
        for transition in demos:
            self._check(transition)
            self.demonstrations.add(transition)
        self._slices, self._calls = settings.utd, settings.block
        if config.agent == "bc":
            self._slices = min(BC_SLICES, settings.bc_steps)
            self._calls = -(-settings.bc_steps // self._slices)
        self._lock = threading.Lock()
        self._queue: deque[Transition] = deque()
        self._next: dict[str, int] = {}
        self._used = 0  # transitions that left the queue for the replay
        self._message: tuple[int, bytes] | None = None

    def receive(self, transitions: Iterable[Transition]) -> int:
        """Take those that come next in their actor's sequence, ignore all others; return how many were taken.

        DataError: a transition that is due is malformed or not finite; it and what follows were not taken.
        """
        taken = 0
        with self._lock:
            for transition in transitions:
                if transition.sequence != self._next.get(transition.actor, 0):
                    continue
                self._check(transition)
                self._queue.append(transition)
                self._next[transition.actor] = transition.sequence + 1
                taken += 1
        return taken

    def next_sequence(self, actor: str) -> int:
        """The sequence number wanted next from `actor`: all below it have been taken."""
        with self._lock:
            return self._next.get(actor, 0)

    @property
    def received(self) -> int:
        """Transitions taken so far, of all actors."""
        with self._lock:
            return self._used + len(self._queue)

    @property
    def updates(self) -> int:
        """Gradient steps of the critic (of the policy, for "bc") so far."""
        return self.version * self._calls * self._slices

    def ready(self) -> bool:
        """Whether the next block is due."""
        if self.config.agent == "bc":
            return self.version == 0
        return self.received >= self._due()

    def update_block(self) -> dict[str, float]:
        """Do the next block, which must be due, and return its mean metrics."""
        if not self.ready():
            raise RuntimeError(f"block {self.version} is due at {self._due()} transitions, not at {self.received}")
        started = time.perf_counter()
        self._use_queue()
        collected = []
        for _ in range(self._calls):
            self.agent, metrics = self.agent.update(self._sample())
            collected.append(metrics)
        means = {name: float(np.mean([m[name] for m in collected])) for name in collected[0]}
        self.version += 1
        return means | {
            "version": float(self.version),
            "updates": float(self.updates),
            "updates_per_s": self._calls * self._slices / (time.perf_counter() - started),
            "replay": float(len(self.online)),
        }

    def warm_up(self) -> None:
        """Compile the update ahead of the first block, changing nothing."""
        zeros = self.spec.example()
        action = np.zeros(self.action_dim, np.float32)
        replay = self._replay(1)
        replay.add(Transition("", 0, "", 0, 0, 0, zeros, zeros, action, action, False, 0, False, False, False, 0))
        batch = Sampler({"zeros": (replay, 1.0)}, 0).sample(self._slices, self.config.learner.batch)
        jax.block_until_ready(jax.tree.map(jax.numpy.copy, self.agent).update(batch))

    def policy_bytes(self) -> bytes:
        """The newest policy, as `robot_rl.agents.policy_from_bytes` reads it."""
        if self._message is None or self._message[0] != self.version:
            self._message = (self.version, self.agent.policy().to_bytes(self.version))
        return self._message[1]

    def save(self, folder: Path) -> Path:
        """Write a checkpoint of everything into `folder`: a learner loaded from it goes on bit for bit."""
        with self._lock:
            queue, following = list(self._queue), dict(self._next)
        online, online_state = self.online.save()
        demonstrations, demonstrations_state = self.demonstrations.save()
        queued, queue_table = stack(queue, self.spec)
        files: dict[str, bytes | dict[str, NDArray]] = {
            "agent.safetensors": named_leaves(self.agent),
            "online.safetensors": online,
            "demonstrations.safetensors": demonstrations,
            "queue.safetensors": queued,
            POLICY_FILE: self.policy_bytes(),
        }
        state = {
            "agent": self.config.agent,
            "version": self.version,
            "used": self._used,
            "next_sequence": following,
            "online": online_state,
            "demonstrations": demonstrations_state,
            "demonstration_count": len(self.demonstrations),
            "queue": queue_table,
            "random": self.sampler.rng.bit_generator.state,
        }
        return save_checkpoint(folder, f"{self._used + len(queue):09d}-{self.version:06d}", files, state)

    @classmethod
    def load(cls, config: RunConfig, observation: Observation, action_dim: int, folder: Path) -> Learner:
        """From the newest sound checkpoint in `folder`, demonstrations included.

        DataError: there is none, all are damaged, or it was made for another agent or other observations.
        """
        checkpoint = newest_checkpoint(folder)
        if checkpoint is None:
            raise DataError(f"there is no checkpoint in {folder}; start the run without --resume")
        if checkpoint.state["agent"] != config.agent:
            raise DataError(
                f"checkpoint {checkpoint.path} is of agent {checkpoint.state['agent']!r}; choose it with --agent"
            )
        learner = cls(config, observation, action_dim)
        learner._restore(checkpoint)
        return learner

    def _restore(self, checkpoint: Checkpoint) -> None:
        state = checkpoint.state
        self.agent = from_named_leaves(self.agent, checkpoint.arrays("agent.safetensors"))
        self.online.restore(checkpoint.arrays("online.safetensors"), state["online"])
        self.demonstrations = self._replay(max(1, state["demonstration_count"]))
        self.demonstrations.restore(checkpoint.arrays("demonstrations.safetensors"), state["demonstrations"])
        self.sampler = self._make_sampler()
        self.sampler.rng.bit_generator.state = state["random"]
        self.version = state["version"]
        self._queue.extend(unstack(checkpoint.arrays("queue.safetensors"), state["queue"], self.spec))
        self._next = dict(state["next_sequence"])
        self._used = state["used"]

    def _replay(self, capacity: int) -> Replay:
        settings = self.config.learner
        return Replay(
            self.spec,
            self.action_dim,
            capacity,
            stack=settings.stack,
            n_step=settings.n_step,
            discount=settings.discount,
        )

    def _make_sampler(self) -> Sampler:
        share = {"rlpd": self.config.learner.demo_share, "sac": 0.0, "bc": 1.0}[self.config.agent]
        sources = {"demonstrations": (self.demonstrations, share), "online": (self.online, 1 - share)}
        return Sampler(sources, self.config.seed)

    def _due(self) -> int:
        return self.config.learner.start + self.config.learner.block * self.version

    def _use_queue(self) -> None:
        """Move what the next block may see from the queue to the replay."""
        if self.config.agent == "bc":
            if not len(self.demonstrations):
                raise ConfigError("agent bc learns from demonstrations and got none; give --demos N with N above 0")
            return
        while self._used < self._due():
            with self._lock:
                transition = self._queue.popleft()
                self._used += 1
            self.online.add(transition)

    def _sample(self) -> Batch:
        return self.sampler.sample(self._slices, self.config.learner.batch)

    def _check(self, transition: Transition) -> None:
        for observation in (transition.observation, transition.next_observation):
            self.spec.check(observation)
        where = f"transition {transition.sequence} of actor {transition.actor!r}"
        if transition.action.shape != (self.action_dim,):
            raise DataError(f"{where} has an action of shape {transition.action.shape}, not ({self.action_dim},)")
        if not (np.isfinite(transition.action).all() and np.isfinite(transition.reward)):
            raise DataError(
                f"{where} has action {transition.action} and reward {transition.reward}; both must be finite"
            )
