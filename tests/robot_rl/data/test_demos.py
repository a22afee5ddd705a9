import dataclasses

import pytest

from robot_rl.data.demos import Demonstrations, Joined
from robot_rl.data.formats.whole import write_set
from robot_rl.data.journal import Journal
from robot_rl.data.label import Label
from robot_rl.data.schema import Field
from robot_rl.exceptions import DataError
from tests.robot_rl.data import episodes


@pytest.mark.parametrize("images", [False, True])
def test_a_set_comes_back_numbered_anew(tmp_path, images):
    schema = episodes.schema(images)
    demos = list(episodes.stream(9, images, first=40))
    assert write_set(tmp_path / "demos", schema, demos).steps == 9
    loaded = Demonstrations(tmp_path / "demos", schema)
    wanted = [dataclasses.replace(demo, sequence=number) for number, demo in enumerate(demos)]
    assert all(episodes.same(left, right) for left, right in zip(loaded, wanted, strict=True))


def test_the_journal_of_a_run_is_a_set(tmp_path):
    schema = episodes.schema()
    with Journal(tmp_path, schema) as journal:
        for transition in episodes.stream(3):
            journal.append(transition)
    assert len(Demonstrations(tmp_path, schema)) == 3


def test_a_set_is_saved_as_a_whole_or_not_at_all(tmp_path):
    schema, demos = episodes.schema(), list(episodes.stream(4))
    demos[3] = dataclasses.replace(demos[3], reward=float("nan"))
    with pytest.raises(DataError, match="reward"):
        write_set(tmp_path / "demos", schema, demos)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "demos").mkdir()
    assert write_set(tmp_path / "demos", schema, demos[:3]).steps == 3


def test_each_mistake_gets_its_sentence(tmp_path):
    schema = episodes.schema()
    with pytest.raises(DataError, match="holds no journal"):
        Demonstrations(tmp_path / "missing", schema)
    Journal(tmp_path / "empty", schema).close()
    with pytest.raises(DataError, match="are none"):
        Demonstrations(tmp_path / "empty", schema)
    write_set(tmp_path / "set", schema, episodes.stream(2))
    with pytest.raises(DataError, match="another folder"):
        write_set(tmp_path / "set", schema, episodes.stream(2))
    with pytest.raises(DataError, match="task 'reach', not 'other'"):
        Demonstrations(tmp_path / "set", episodes.schema(task="other"))
    with pytest.raises(DataError, match="actions x, y, gripper, not x"):
        Demonstrations(tmp_path / "set", dataclasses.replace(schema, actions=("x",)))
    more = dataclasses.replace(schema, observation=(*schema.observation, Field("force", (6,))))
    with pytest.raises(DataError, match="otherwise than this environment: force"):
        Demonstrations(tmp_path / "set", more)


def test_a_set_is_read_anew_each_time_with_its_labels(tmp_path):
    schema = episodes.schema(images=True)
    steps = list(episodes.stream(4, images=True))
    label = Label("actor0", 4, 0.5, steps[1].episode, 1, "human", 1, "reward", 2.0)
    with Journal(tmp_path, schema, sync=False) as journal:
        for record in [*steps, label]:
            journal.append(record)
    found = Demonstrations(tmp_path, schema)
    assert len(found) == 5
    for _ in range(2):
        records = list(found)
        assert [record.sequence for record in records] == list(range(5)) and records[4] == label


def test_several_sets_are_gone_through_one_after_the_other(tmp_path):
    schema = episodes.schema()
    for seed in (1, 2):
        write_set(tmp_path / str(seed), schema, episodes.stream(3, seed=seed))
    joined = Joined([Demonstrations(tmp_path / str(seed), schema, "imported steps") for seed in (1, 2)])
    assert len(joined) == 6
    assert [step.episode for step in joined] == [step.episode for step in joined] == ["1-0-0"] * 3 + ["2-0-0"] * 3
    with pytest.raises(DataError, match="the imported steps in .*1 are of task 'reach'"):
        Demonstrations(tmp_path / "1", episodes.schema(task="other"), "imported steps")
