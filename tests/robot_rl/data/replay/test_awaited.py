from robot_rl.data.label import Label
from robot_rl.data.replay import Replay
from robot_rl.data.replay.awaited import Awaited
from tests.robot_rl.data.replay.truth import ACTIONS, SPEC, World


def label(episode, step=0, version=1, kind="reward", source="human"):
    return Label("person", version, 1.0, episode, step, source, version, kind, 1.0)


def test_the_labels_judged_longest_ago_are_forgotten():
    kept = Awaited(room=4)
    assert [kept.add(label(name)) for name in "abc"] == [0, 0, 0]
    assert kept.add(label("a", step=1)) == 0  # so b is the oldest
    assert kept.add(label("d")) == 1
    assert len(kept) == 4 and kept.pop("b") is None
    assert kept.add(label("e")) == 1
    assert kept.pop("c") is None
    assert kept.pop("a").reward("a", 1, 0.0) == 1.0
    assert len(kept) == 2
    assert [[one.episode for one in labels] for labels in kept] == [["d"], ["e"]]


def test_what_says_nothing_new_takes_no_room():
    kept = Awaited(room=2)
    assert [kept.add(label("a", version=version)) for version in (1, 2, 2, 1, 3)] == [0] * 5
    assert len(kept) == 1
    assert kept.add(label("a", kind="undo", version=4)) == 0
    assert len(kept) == 2
    assert kept.add(label("a", step=1)) == 3 and len(kept) == 0  # one episode alone is beyond it


def test_a_replay_forgets_labels_of_episodes_that_never_come_and_counts_them(monkeypatch, caplog, tmp_path):
    monkeypatch.setattr("robot_rl.data.replay.replay.Awaited", lambda: Awaited(room=100))
    replay = Replay(SPEC, ACTIONS, 10)
    for number in range(1000):
        replay.label(label(f"never-{number}"))
    assert replay.labels_dropped == 900
    assert len(caplog.records) == 1 and "episodes that did not come" in caplog.records[0].message
    arrays, state = replay.save()
    assert len(state["labels"]) == 100
    again = Replay(SPEC, ACTIONS, 10)
    again.restore(arrays, state)
    assert again.labels_dropped == 900
    for one in (replay, again):
        one.label(label("yet another"))
        assert one.save()[1]["labels"] == [*state["labels"][1:], list(vars(label("yet another")).values())]


def test_a_label_that_comes_before_its_step_holds_when_it_comes():
    import numpy as np

    from robot_rl.data.transition import Transition

    replay = Replay(SPEC, ACTIONS, 10)
    step = World().any_step(np.random.default_rng(0))
    assert isinstance(step, Transition)
    replay.label(label(step.episode, step.step))
    replay.add(step)
    assert replay.gather(np.array(0)).reward == 1.0 and replay.labels_dropped == 0
