import numpy as np

from benchmarks import replay as benchmark
from benchmarks.replay import BATCH, EPISODE, UTD, filled, from_disk, half_and_half, kinds, rates, stream
from tests.robot_rl.learning import transition


def steps():
    rng = np.random.default_rng(0)

    def look():
        return {"pose": rng.normal(size=3).astype(np.float32), "wrist": rng.integers(0, 255, (4, 4, 3), np.uint8)}

    moments = [look() for _ in range(EPISODE + 1)]
    return [transition(n, observation=moments[n], following=moments[n + 1]) for n in range(EPISODE)]


def test_each_kind_of_observation_is_one_episode_without_gaps():
    made = kinds(steps())
    assert set(made["state"][0].observation) == {"pose"}
    assert {value.size for value in made["features"][0].observation.values()} == {3, benchmark.FEATURES}
    for kind, episode in made.items():
        replay = filled(episode, 3 * EPISODE)
        frame = sum(value.nbytes for value in episode[0].observation.values())
        assert len(replay) == 3 * EPISODE
        assert replay.nbytes < 3 * (EPISODE + 1) * frame + 3 * EPISODE * 100, kind


def test_the_stream_numbers_steps_and_episodes():
    made = list(stream(steps(), 250))
    assert [step.sequence for step in made] == list(range(250))
    assert len({step.episode for step in made}) == 3


def test_rates_are_of_whole_calls(tmp_path):
    replays = [filled(steps(), 50) for _ in range(2)]
    found = rates({"one": half_and_half(*replays), "two": half_and_half(*replays)}, 0.01)
    assert set(found) == {"one", "two"} and min(found.values()) > UTD * BATCH / 60


def test_a_replay_is_sampled_from_its_files_alone(tmp_path):
    assert from_disk(filled(steps(), 200, tmp_path), tmp_path) > 0
