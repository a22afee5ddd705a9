"""Learning from interventions alone: RLIF beside HG-DAgger, DAgger and behaviour cloning (Luo et al., 2023).

Each task has a teacher that our own learner trained; experts of set quality are policies that the teacher kept on its
way there, and its critic is the reference that decides when the expert takes over (value-based, as in the paper). All
methods get the same demonstrations and the same number of environment steps; RLIF sees no reward of the task.

`peg_insert`: an expert that inserts 4 in 10 pegs and a good one, five seeds, 15 minutes of robot time. `Hopper-v5`:
experts of 40 % and 100 % of the teacher's best return, three seeds, 50,000 steps. Goes on where it stopped, one seed of
all methods after another; `--so-far` shows what there is and measures nothing. The plots are docs/images/rlif-*.png;
docs/rlif.md has the table.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.common import BUILD, ROOT, Figure, Partial, main, progress
from benchmarks.runs import learn, robot_rl
from robot_rl.compare import Curve, Group, plot

NAME = "rlif"
Result = dict[str, Any]
Found = Mapping[str, Mapping[int, Result]]
"""By method and seed."""


@dataclass(frozen=True)
class Study:
    """A task. key: of an evaluation, what is compared; shown: what an axis calls that.

    steps: of each run; every: of them between two evaluations, of `episodes` each. teacher, teacher_every: the same of
    the teacher. qualities: of experts, as a share of the teacher's best. options: of every run. value: the rule.
    """

    task: str
    key: str
    shown: str
    steps: int
    every: int
    episodes: int
    seeds: int
    teacher: int
    teacher_every: int
    qualities: tuple[float, ...]
    options: tuple[str, ...] = ()
    teacher_options: tuple[str, ...] = ()
    teacher_seed: int = 100
    value: str = "value,alpha=0.97"

    @property
    def name(self) -> str:
        return self.task.rpartition(":")[2]


HOPPER = (
    "--learner.critics", "2", "--learner.hidden", "128,128", "--learner.utd", "2", "--learner.block", "50",
    "--learner.entropy-backup", "false", "--learner.initial-temperature", "0.1", "--learner.random-steps", "0",
)  # fmt: skip
"""Smaller than the paper's ten critics of 256 x 3 and UTD 15: what one core learns in minutes."""
STUDIES = (
    Study("peg_insert", "success_rate", "success", 9000, 1500, 100, 5, 4800, 50, (0.4, 1.0)),
    Study("gym:Hopper-v5", "mean_return", "return", 50_000, 10_000, 10, 3, 75_000, 2_500, (0.4, 1.0), HOPPER,
          ("--learner.hidden", "128,128"), teacher_seed=1),
)  # fmt: skip
METHODS = ("RLIF", "HG-DAgger", "DAgger", "BC")


def teach(study: Study, quick: bool) -> Result:
    """Train the teacher; `path` of its run and what its kept policies reach."""
    folder = BUILD / "runs" / f"{NAME}-{study.name}-teacher{'-quick' if quick else ''}"
    steps, every = (900, 300) if quick else (study.teacher, study.teacher_every)
    episodes = 5 if quick else max(20, study.episodes // 2)
    size = ("--transport", "inprocess", "--seed", str(study.teacher_seed), "--steps", str(steps))
    options = (*size, *study.teacher_options)
    result = learn(folder, study.task, *options, keep_every=every, episodes=episodes, seed=2000, whole=True)
    return result | {"path": str(folder)}


def expert_of(study: Study, teacher: Result, quality: float) -> tuple[str, float]:
    """The kept policy nearest to `quality` times the teacher's best, as `--expert` takes it, and what it reaches."""
    kept = teacher["kept"]
    best = max(one[study.key] for one in kept)
    chosen = min(kept, key=lambda one: abs(one[study.key] - quality * best))
    return f"{teacher['path']}@{chosen['step']}", chosen[study.key]


def demonstrations(study: Study, teacher: Result, quick: bool) -> str:
    """Where there is no scripted expert: the journal of a run in which a policy, a poor one, always acts."""
    expert, _ = expert_of(study, teacher, min(study.qualities))
    folder = BUILD / "runs" / f"{NAME}-{study.name}-demos{'-quick' if quick else ''}"
    steps = "600" if quick else "5000"
    shutil.rmtree(folder, ignore_errors=True)
    progress(f"recording {study.task} in {folder.name}")
    robot_rl(
        "train", study.task, "--run", str(folder), "--transport", "inprocess", "--seed", "7", "--steps", steps,
        "--agent", "sac", "--learner.start", "1000000",
        "--intervener", "disagreement,cosine=1,patience=1,length=1000000", "--expert", expert,
    )  # fmt: skip
    return str(folder / "journal")


def options_of(method: str, study: Study, expert: str, teacher: Result) -> tuple[str, ...]:
    """What makes a run that method's."""
    rule = ("--intervener", f"{study.value},reference={teacher['path']}", "--expert", expert)
    return {
        "RLIF": ("--agent", "rlpd", "--reward", "intervention", *rule),
        "HG-DAgger": ("--agent", "hg_dagger", *rule),
        "DAgger": ("--agent", "dagger", "--expert", expert),
        "BC": ("--agent", "bc"),
    }[method]


def train(study: Study, method: str, expert: str, seed: int, teacher: Result, quick: bool) -> Result:
    """One run. BC has no steps: its one policy is what it is from the beginning."""
    steps, every, episodes = (600, 300, 5) if quick else (study.steps, study.every, study.episodes)
    name = f"{NAME}-{study.name}-{method}-{expert.rpartition('@')[2]}-{seed}{'-quick' if quick else ''}"
    folder = BUILD / "runs" / name
    options = ["--transport", "inprocess", "--seed", str(seed), *study.options]
    options += ["--demos", teacher.get("demos", "20"), *options_of(method, study, expert, teacher)]
    if method != "BC":
        options += ["--steps", str(steps)]
        return learn(folder, study.task, *options, keep_every=every, episodes=episodes)
    shutil.rmtree(folder, ignore_errors=True)
    progress(f"cloning {study.task} in {folder.name}")
    robot_rl("train", study.task, "--run", str(folder), *options)
    printed = json.loads(robot_rl("eval", str(folder), "--episodes", str(episodes), "--seed", "1000", "--json"))
    return {"kept": [printed | {"step": 0}, printed | {"step": steps}], "intervened_steps": 0, "wall_s": 0.0}


def key_of(study: Study, quality: float, method: str, seed: int) -> str:
    """Of a partial result. Cloning asks no expert: it is the same beside each."""
    return f"{study.name}-{study.qualities[0] if method == 'BC' else quality:g}-{method}-{seed}"


def run(study: Study, partial: Partial, quick: bool) -> None:
    """Measure what is not there yet, seed by seed."""
    teacher = partial.once(f"{study.name}-teacher", lambda: teach(study, quick))
    if study.task.startswith("gym:"):
        teacher |= {"demos": partial.once(f"{study.name}-demos", lambda: demonstrations(study, teacher, quick))}
    qualities, seeds = (study.qualities[:1], 1) if quick else (study.qualities, study.seeds)
    for quality in qualities:
        expert, _ = expert_of(study, teacher, quality)
        for seed in range(seeds):
            for method in METHODS:
                make: Callable[[], Result] = lambda: train(study, method, expert, seed, teacher, quick)  # noqa: B023, E731
                partial.once(key_of(study, quality, method, seed), make)


def show(study: Study, partial: Partial, quick: bool) -> list[Figure]:
    """Figures and plots of what there is."""
    teacher = partial.get(f"{study.name}-teacher")
    if teacher is None:
        return []
    figures = []
    for quality in study.qualities:
        found: dict[str, dict[int, Result]] = {}
        for method in METHODS:
            for seed in range(study.seeds):
                if (result := partial.get(key_of(study, quality, method, seed))) is not None:
                    found.setdefault(method, {})[seed] = result
        if set(found) - {"BC"}:
            figures += compare(study, quality, found, expert_of(study, teacher, quality)[1])
            folder = partial.folder if quick else ROOT / "docs" / "images"
            title = f"{study.name}, expert of {100 * quality:.0f} %: {study.shown}, deterministic policy"
            groups = [curves(method, study, list(results.values())) for method, results in found.items()]
            plot(groups, folder / f"rlif-{study.name}-{100 * quality:.0f}.png", title, 1.0, "environment steps")
    return figures


def curves(label: str, study: Study, results: Sequence[Result]) -> Group:
    """What was reached over environment steps."""
    made = []
    for result in results:
        steps = np.array([kept["step"] for kept in result["kept"]], float)
        values = np.array([kept[study.key] for kept in result["kept"]], float)
        made.append(Curve(steps, values, float(values[-1])))
    return Group(label, study.shown, tuple(made))


def compare(study: Study, quality: float, found: Found, expert: float) -> list[Figure]:
    """At the end of the runs: means over seeds beside the expert itself; RLIF beside HG-DAgger, seed for seed."""
    figures = []
    for method, results in found.items():
        ends = [result["kept"][-1][study.key] for result in results.values()]
        name, mean = f"{study.name}, expert {100 * quality:.0f} %, {method}", float(np.mean(ends))
        figures += [
            Figure(f"{name}: {study.shown} at the end, mean of {len(ends)} seeds", mean, "",
                   peer="the expert itself", peer_value=expert, ratio=mean / expert if expert else None),
            Figure(f"{name}: the least", float(min(ends)), ""),
        ]  # fmt: skip
        if any(steps := [result["intervened_steps"] for result in results.values()]):
            figures.append(Figure(f"{name}: expert steps, mean", float(np.mean(steps)), ""))
    ours, theirs = found.get("RLIF", {}), found.get("HG-DAgger", {})
    pairs = [(ours[seed], theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())]
    if pairs:
        reached = float(np.mean([rlif["kept"][-1][study.key] for rlif, _ in pairs]))
        peer = float(np.mean([after(hg, rlif["intervened_steps"], study.key) for rlif, hg in pairs]))
        name = f"{study.name}, expert {100 * quality:.0f} %, RLIF at the end"
        figures.append(Figure(name, reached, "", peer="HG-DAgger, no more expert steps", peer_value=peer,
                              ratio=reached / peer if peer else None))  # fmt: skip
    return figures


def after(result: Result, expert_steps: float, key: str) -> float:
    """What the last policy kept by the time of so many expert steps reached; the first kept, if that was later."""
    shares = np.array([share or 0.0 for share in result["intervened_shares"]])
    edges = np.linspace(0, result["steps"], len(shares) + 1)
    taken = np.concatenate([[0.0], np.cumsum(shares * np.diff(edges))])
    kept = result["kept"]
    reached = [one for one in kept if np.interp(one["step"], edges, taken) <= expert_steps * (1 + 1e-6)]
    return float((reached or kept[:1])[-1][key])


def measure(quick: bool) -> list[Figure]:
    """The figures of every study; quick: of the first."""
    partial = Partial(NAME, quick)
    for study in STUDIES[:1] if quick else STUDIES:
        run(study, partial, quick)
    return so_far(quick)


def so_far(quick: bool) -> list[Figure]:
    """The figures of what has been measured."""
    return [figure for study in STUDIES for figure in show(study, Partial(NAME, quick), quick)]


if __name__ == "__main__":
    main(NAME, measure, so_far)
