"""What an operator's commands do to an actor's episodes: they end them, judge them, take them back, let the run wait.

A judgement is a label of source `human`, in the actor's own journal behind the step that it judges: what was recorded
stays as it was. The one thing of a step that a command changes is how the episode ends there, before it is recorded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from robot_rl.data.label import EPISODE, FAULT, HUMAN, LATE, Label
from robot_rl.data.transition import Transition
from robot_rl.operator import Answer, Command, Operator, OperatorState

if TYPE_CHECKING:
    from robot_rl.actor import ExperienceSink
    from robot_rl.envs.robot_env import LateStep

NONE_RUNS = Answer(False, "no episode is running, and none has ended since the start")


@dataclass
class _Seen:
    """An episode: its number and name, its newest step and that one's end, s.

    won: the step that a late success is of. judged: a person has said how it went.
    """

    index: int
    name: str
    step: int = EPISODE
    stamp: float = 0.0
    discarded: bool = False
    won: int | None = None
    judged: bool = False


@dataclass(frozen=True)
class _Judgement:
    episode: _Seen
    step: int
    kind: str
    value: float
    source: str = HUMAN


class Oversight:
    """Carries an operator's commands out for the actor `actor`, which calls the methods in the order given here.

    penalise: as RLIF does on a robot (`reward: intervention`), a failure is no end of the task but a truncation with
    reward -1, as a latch of the arm is, and a success is worth 0; else a success is worth 1, a failure 0; both end it.
    paused, stopping: what the actor must heed before it begins an episode, and between two steps.
    """

    def __init__(self, operator: Operator, sink: ExperienceSink, actor: str, *, penalise: bool = False) -> None:
        self._operator, self._sink, self._actor, self._penalise = operator, sink, actor, penalise
        self.paused = self.stopping = False
        self._running: _Seen | None = None
        self._last: _Seen | None = None  # that ended
        self._kept: list[_Seen] = []  # that ended and count, the newest last
        self._due: list[_Judgement] = []
        self._answers: list[Answer] = []
        self._ending: Command | None = None
        self._steps = self._intervened = 0
        self._shown: OperatorState | None = None

    def between(self) -> None:
        """No episode is running: judge the last one, pause, resume, stop. Raises what the sink does."""
        self._obey()
        self._settle()

    def pause(self) -> None:
        """As the operator's command, where the run itself has to wait for a person between two episodes."""
        self.paused = True
        self._show()

    def begin(self, index: int, name: str) -> None:
        """The `index`-th episode, `name` in the records, has been reset."""
        self._running, self._ending = _Seen(index, name), None
        self._show()

    def look(self, transition: Transition, fault: str = "", late: Sequence[LateStep] = ()) -> Transition:
        """The step that was just made, as it is to be recorded: it ends the episode where the operator said so.

        fault: why the arm latched in it, if it did. late: what is now said of steps before it.
        """
        assert self._running is not None, "begin comes first"
        self._running.step, self._running.stamp = transition.step, transition.next_stamp
        self._obey()
        if fault and self._penalise:
            self._due.append(_Judgement(self._running, transition.step, "reward", -1.0, FAULT))
        for one in late:
            self._judge_step(one)
        if self._ending is None:
            ended = transition.terminated or transition.truncated
            return transition if ended or self._running.won is None else dataclasses.replace(transition, truncated=True)
        judged = self._ending == "success" or (self._ending == "failure" and not self._penalise)
        terminated = judged or (transition.terminated and self._ending != "failure")
        return dataclasses.replace(transition, terminated=terminated, truncated=not terminated)

    def sent(self, transition: Transition) -> float:
        """The step is in the journal: now its judgements are, too. Returns its reward by them. Raises as the sink."""
        assert self._running is not None, "begin comes first"
        rewards = [
            one.value
            for one in self._due
            if one.kind == "reward" and one.episode is self._running and one.step == transition.step
        ]
        late = sum(
            one.value
            for one in self._due
            if one.kind == "reward" and one.episode is self._running and one.step < transition.step
        )
        self._steps, self._intervened = self._steps + 1, self._intervened + transition.intervened
        if transition.terminated or transition.truncated:
            self._last, self._running = self._running, None
            if not self._last.discarded:
                self._kept.append(self._last)
        self._settle()
        return late + (rewards[-1] if rewards else transition.reward)

    def success(self, measured: bool | None) -> bool | None:
        """Whether the episode succeeded: by the operator's word where there is one."""
        seen = self._running or self._last
        told = True if seen is not None and seen.won is not None else measured
        return {"success": True, "failure": False}.get(self._ending or "", told)

    @property
    def ended_by(self) -> str:
        """The command that ended the episode, else empty."""
        return self._ending or ""

    def _obey(self) -> None:
        """Decide on every command that has come; labels and answers wait for `_settle`."""
        for command in self._operator.take():
            if command in ("pause", "resume", "stop"):
                answer = self._hold(command)
            elif command == "undo":
                answer = self._undo()
            elif self._running is not None:
                answer = self._end(command, self._running)
            else:
                answer = self._judge_late(command)
            self._answers.append(answer)

    def _hold(self, command: Command) -> Answer:
        if command == "stop":
            self.stopping = True
            return Answer(True, "it ends now; what was made is kept, and can go on later")
        if self.paused == (command == "pause"):
            return Answer(False, "already paused" if self.paused else "nothing is paused")
        self.paused = command == "pause"
        if not self.paused:
            return Answer(True, "a new episode begins")
        if self._running is not None and self._ending is None:
            self._ending = command
        return Answer(True, "paused: the arm holds until resume")

    def _end(self, command: Command, episode: _Seen) -> Answer:
        if self._ending is not None:
            return Answer(False, f"episode {episode.index} is ending by {self._ending} already")
        self._ending = command
        return Answer(True, self._judge(command, episode) or f"episode {episode.index} begins anew")

    def _judge_late(self, command: Command) -> Answer:
        """A command that came between two episodes is about the one that ended."""
        if self._last is None:
            return NONE_RUNS
        text = self._judge(command, self._last)
        return Answer(True, text) if text else Answer(False, "no episode is running")

    def _judge(self, command: Command, episode: _Seen) -> str:
        """Note what the command says of an episode; what was noted, empty where it says nothing."""
        if command == "discard":
            self._discard(episode)
            return f"episode {episode.index} is discarded"
        if command not in ("success", "failure"):
            return ""
        won = float(command == "success")
        reward = won - 1.0 if self._penalise else won
        episode.judged = True
        for step in {episode.step, episode.step if episode.won is None else episode.won}:
            self._due += [_Judgement(episode, step, "success", won), _Judgement(episode, step, "reward", reward)]
            self._due += [_Judgement(episode, step, "discard", 0.0)] if episode.won is not None else []
        return f"episode {episode.index} is a {command}"

    def _judge_step(self, said: LateStep) -> None:
        """What came late belongs to its step, of this episode or the one before.

        A success ends the episode there: what followed is not learnt from. A person who judged it knows better.
        """
        episode = self._last if said.before else self._running
        if episode is None or episode.won is not None or self._judged(episode):
            return
        self._due.append(_Judgement(episode, said.step, "reward", said.value, LATE))
        if said.success:
            episode.won = said.step
            self._due.append(_Judgement(episode, said.step, "success", 1.0, LATE))
            for step in range(said.step + 1, episode.step + 1):
                self._due.append(_Judgement(episode, step, "discard", 1.0, LATE))

    def _judged(self, episode: _Seen) -> bool:
        """Whether a person has said how the episode went."""
        return episode.judged or (episode is self._running and self._ending in ("success", "failure"))

    def _undo(self) -> Answer:
        if not self._kept:
            return Answer(False, "no episode that ended since the start is left to take back")
        episode = self._kept[-1]
        self._discard(episode)
        return Answer(True, f"episode {episode.index} is discarded")

    def _discard(self, episode: _Seen) -> None:
        if episode.discarded:
            return
        episode.discarded = True
        self._kept = [kept for kept in self._kept if kept is not episode]
        self._due.append(_Judgement(episode, EPISODE, "discard", 1.0))

    def _settle(self) -> None:
        """Journal what is due, then answer: what an answer says is safe."""
        for one in self._due:
            number = self._sink.next_sequence  # grows, also over a restart: the newest judgement is the highest
            self._sink.send(
                Label(
                    actor=self._actor,
                    sequence=number,
                    stamp=one.episode.stamp,
                    episode=one.episode.name,
                    step=one.step,
                    source=one.source,
                    version=number,
                    kind=one.kind,
                    value=one.value,
                )
            )
        self._due = []
        answers, self._answers = self._answers, []
        for answer in answers:
            self._operator.answer(answer)
        if answers or self._running is None:
            self._show()

    def _show(self) -> None:
        """Show how things are, where that has changed."""
        seen = self._running or self._last
        state = OperatorState(
            episode=seen.index if seen else 0,
            running=self._running is not None,
            paused=self.paused,
            stopping=self.stopping,
            intervened=round(self._intervened / max(1, self._steps), 4),
        )
        if state != self._shown:
            self._shown = state
            self._operator.show(state)
