import dataclasses

import pytest

from robot_rl.data.edit import Trim, chosen, merge, summarise, trim
from robot_rl.data.formats.experience import open_experience
from robot_rl.data.journal import Journal, JournalReader, read_journal
from robot_rl.data.label import Label, Labels
from robot_rl.data.verify import verify
from robot_rl.exceptions import DataError
from tests.robot_rl.data import episodes


def write(folder, records, images=False):
    with Journal(folder, episodes.schema(images), sync=False) as journal:
        for record in records:
            journal.append(dataclasses.replace(record, sequence=journal.next_sequence))
    return open_experience(folder)


def label(episode, step, kind="discard", value=1.0, version=1):
    return Label("person", 0, 1.0, episode, step, "human", version, kind, value)


def test_a_merge_holds_all_in_order_with_labels(tmp_path):
    left, right = list(episodes.stream(8, images=True)), list(episodes.stream(5, images=True, seed=1))
    one = write(tmp_path / "a", [*left, label(left[0].episode, 1)], images=True)
    two = write(tmp_path / "b", right, images=True)
    told = []
    written = merge([one, two], tmp_path / "all", told.append)
    assert (written.steps, written.episodes, written.labels) == (13, 4, 1) and told[-1] == 13
    reader = JournalReader(tmp_path / "all")
    numbers = [record.sequence for record in reader.records()]
    assert numbers == list(range(14))
    again = [dataclasses.replace(step, sequence=0) for step in reader.read()]
    assert all(
        episodes.same(found, dataclasses.replace(wanted, sequence=0))
        for found, wanted in zip(again, left + right, strict=True)
    )
    assert verify([reader]).faults == 0


def test_what_does_not_belong_together_is_not_merged(tmp_path):
    one = write(tmp_path / "a", episodes.stream(8))
    with pytest.raises(DataError, match=r"episode '0-0-0' is in .*a and in .*b; leave one of them out"):
        merge([one, write(tmp_path / "b", episodes.stream(8))], tmp_path / "all")
    with pytest.raises(DataError, match="observe otherwise than this environment: wrist"):
        merge([one, write(tmp_path / "c", episodes.stream(8, images=True, seed=3), images=True)], tmp_path / "all")
    with pytest.raises(DataError, match="exists already"):
        merge([one, write(tmp_path / "d", episodes.stream(8, seed=3))], tmp_path / "a")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a", "b", "c", "d"]


def test_episodes_are_chosen_by_number_range_and_name(tmp_path):
    found = summarise(write(tmp_path / "a", episodes.stream(40)))
    assert len(found) == 10
    assert chosen(found, "0-2, 7,0-0-9") == {"0-0-0", "0-0-1", "0-0-2", "0-0-7", "0-0-9"}
    for bad in ("10", "3-1", "x", "5-", "0-10"):
        with pytest.raises(DataError, match=bad):
            chosen(found, bad)


def test_a_summary_says_what_labels_make_of_it(tmp_path):
    made = list(episodes.stream(8))
    said = [label(made[0].episode, 1, "reward", 3.0), label(made[0].episode, -1, "success", 0.0)]
    found = summarise(write(tmp_path / "a", [*made, *said, label(made[4].episode, 0)]))
    assert [episode.success for episode in found] == [False, False]
    assert found[0].total == pytest.approx(sum(step.reward for step in made[:4]) - made[1].reward + 3)
    assert [episode.ended for episode in found] == ["terminated", "truncated"]
    assert [episode.discarded for episode in found] == [0, 1]
    assert found[0].seconds == pytest.approx(0.4)


def test_trim_leaves_failures_out(tmp_path):
    experience = write(tmp_path / "a", episodes.stream(16, images=True), images=True)
    rule = Trim(drop_failures=True)
    written = trim(experience, summarise(experience), rule, tmp_path / "b")
    assert (written.steps, written.episodes) == (8, 2)
    assert all(step.success for step in read_journal(tmp_path / "b") if step.terminated or step.truncated)


def test_trim_cuts_what_is_discarded_and_labels_follow_their_steps(tmp_path):
    made = list(episodes.stream(24, images=True, length=8))
    name = made[0].episode
    said = [label(name, 3), label(made[8].episode, -1), label(name, 6, "reward", 9.0), label(name, -1, "success", 1.0)]
    experience = write(tmp_path / "a", [*made, *said], images=True)
    trim(experience, summarise(experience), Trim(drop_discarded=True), tmp_path / "b")
    reader = JournalReader(tmp_path / "b")
    steps, labels = list(reader.read()), Labels()
    for record in reader.records():
        if isinstance(record, Label):
            labels.add(record)
    assert [(step.episode, step.step) for step in steps[:7]] == [
        *((name, index) for index in range(3)),
        *((f"{name}.1", index) for index in range(4)),
    ]
    assert steps[2].truncated and steps[6].terminated and len(steps) == 15
    assert labels.reward(f"{name}.1", 2, 0.0) == 9.0
    assert labels.success(name, 0, False) and labels.success(f"{name}.1", 3, False)
    assert not any(labels.discarded(step.episode, step.step) for step in steps)
    assert verify([reader]).faults == 0
    assert len(list(read_journal(tmp_path / "a"))) == 24


def test_trim_never_leaves_nothing(tmp_path):
    experience = write(tmp_path / "a", episodes.stream(4))
    with pytest.raises(DataError, match="nothing of .* would be left"):
        trim(experience, summarise(experience), Trim(episodes=set()), tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_looking_cutting_and_joining_decode_no_picture(tmp_path, monkeypatch):
    made = list(episodes.stream(12, images=True))
    one = write(tmp_path / "a", [*made, label(made[0].episode, 1)], images=True)
    two = write(tmp_path / "b", episodes.stream(4, images=True, seed=1), images=True)
    with monkeypatch.context() as patch:
        patch.setattr("robot_rl.data.codec.decode_png", lambda *_: pytest.fail("a picture was decoded"))
        patch.setattr("robot_rl.data.codec.encode_png", lambda *_: pytest.fail("a picture was encoded"))
        found = summarise(one)
        trim(one, found, Trim(names_of(found[:2]), drop_discarded=True), tmp_path / "part")
        merge([one, two], tmp_path / "all")
    joined = list(read_journal(tmp_path / "all"))
    assert all(episodes.same(left, right) for left, right in zip(joined, [*made], strict=False))
    part = list(read_journal(tmp_path / "part"))
    assert [(step.episode, step.step, step.truncated) for step in part[:3]] == [
        ("0-0-0", 0, True),
        ("0-0-0.1", 0, False),
        ("0-0-0.1", 1, False),
    ]
    wanted = [made[0], *made[2:8]]
    assert all(
        (left.observation["wrist"] == right.observation["wrist"]).all()
        and (left.next_observation["wrist"] == right.next_observation["wrist"]).all()
        for left, right in zip(part, wanted, strict=True)
    )
    sizes = [sum(file.stat().st_size for file in (tmp_path / name).iterdir()) for name in ("all", "a", "b")]
    assert sizes[0] < sizes[1] + sizes[2]  # each picture once, as before


def names_of(found):
    return {episode.name for episode in found}
