import h5py
import numpy as np
import pytest

from robot_rl.data.formats.foreign import import_data, kind_of
from robot_rl.data.formats.intake import Want
from robot_rl.data.formats.mapping import parse_map
from robot_rl.data.journal import JournalReader, read_journal
from robot_rl.exceptions import DataError
from tests.robot_rl.data.formats import samples


@pytest.fixture
def path(tmp_path):
    return tmp_path / "demo.hdf5"


def taken(path, tmp_path, **want):
    written, notices = import_data(path, tmp_path / "set", Want(**want))
    steps = list(read_journal(tmp_path / "set"))
    assert written.steps == len(steps)
    return steps, notices.lines()


def test_every_step_comes_in_with_its_own_next_observation(path, tmp_path):
    made = samples.robomimic(path)
    assert kind_of(path) == "robomimic"
    steps, notices = taken(path, tmp_path)
    assert len(steps) == sum(samples.LENGTHS)
    assert [line for line in notices if "agentview_depth" in line] and len(notices) == 1
    for step in steps:
        demo = made[step.episode.split("/")[1]]
        t = step.step
        assert np.array_equal(step.observation["eef_pos"], demo["seen"]["eef_pos"][t].astype(np.float32))
        assert np.array_equal(step.next_observation["eef_pos"], demo["seen"]["eef_pos"][t + 1].astype(np.float32))
        assert np.array_equal(step.observation["agentview_image"], demo["seen"]["agentview_image"][t])
        assert np.array_equal(step.next_observation["agentview_image"], demo["seen"]["agentview_image"][t + 1])
        assert step.observation["gripper"].shape == (1,)
        assert np.array_equal(step.action, demo["action"][t].astype(np.float32))
        assert step.reward == demo["reward"][t]
    assert JournalReader(tmp_path / "set").schema.task == "Lift"
    assert steps[1].next_stamp - steps[1].stamp == pytest.approx(0.1)  # control_freq


def test_dones_terminate_and_what_is_cut_is_truncated(path, tmp_path):
    samples.robomimic(path)
    steps, _ = taken(path, tmp_path)
    ends = [(step.terminated, step.truncated, step.success) for step in steps if step.terminated or step.truncated]
    assert ends == [(True, False, True), (False, True, False), (True, False, True)]


def test_without_next_observations_the_last_step_of_each_goes_and_is_counted(path, tmp_path):
    samples.robomimic(path, next_obs=False)
    steps, notices = taken(path, tmp_path)
    assert len(steps) == sum(samples.LENGTHS) - 3
    assert "3 last steps dropped: what they led to was not recorded" in notices
    assert [step.truncated for step in steps].count(True) == 3
    assert not any(step.terminated for step in steps)


def test_steps_after_done_are_dropped_and_counted(path, tmp_path):
    samples.robomimic(path)
    with h5py.File(path, "a") as file:
        file["data/demo_2/dones"][3] = 1
    steps, notices = taken(path, tmp_path)
    assert len(steps) == sum(samples.LENGTHS) - 3
    assert "3 steps dropped that come after their episode's end" in notices


def test_an_episode_is_cut_where_the_observations_do_not_join(path, tmp_path):
    samples.robomimic(path)
    with h5py.File(path, "a") as file:
        file["data/demo_2/obs/agentview_image"][4] = 7
    steps, notices = taken(path, tmp_path)
    assert any("1 times an observation is not the next one" in line for line in notices)
    names = [step.episode.split("/")[1] for step in steps[-7:]]
    assert names == ["demo_2"] * 4 + ["demo_2.1"] * 3
    assert [step.step for step in steps[-7:]] == [0, 1, 2, 3, 0, 1, 2]
    assert steps[-4].truncated and (steps[-3].observation["agentview_image"] == 7).all()


def test_a_map_renames_and_a_size_shrinks(path, tmp_path):
    samples.robomimic(path)
    chosen = parse_map(
        {
            "observation": {"tool": "eef_pos", "wrist": "agentview_image"},
            "action": {"names": ["x", "y", "z", "grip"], "low": -1, "high": 1},
            "rate": 5,
        }
    )
    steps, _ = taken(path, tmp_path, map=chosen, size=(4, 3))
    schema = JournalReader(tmp_path / "set").schema
    assert schema.actions == ("x", "y", "z", "grip")
    assert [field.name for field in schema.observation] == ["tool", "wrist"]
    assert steps[0].observation["wrist"].shape == (4, 3, 3)
    with h5py.File(path) as file:
        frame = file["data/demo_0/obs/agentview_image"][0].astype(float)
    mean = frame.reshape(4, 2, 3, 2, 3).mean((1, 3))
    assert np.abs(steps[0].observation["wrist"] - mean).max() <= 1
    assert steps[1].next_stamp - steps[1].stamp == pytest.approx(0.2)


def test_what_cannot_be_right_is_refused_and_leaves_nothing(path, tmp_path):
    def refused(text, change, want=None):
        path.unlink(missing_ok=True)
        samples.robomimic(path)
        with h5py.File(path, "a") as file:
            change(file["data"])
        with pytest.raises(DataError, match=text):
            import_data(path, tmp_path / "set", want or Want())
        assert sorted(item.name for item in tmp_path.iterdir()) == ["demo.hdf5"]

    def replaced(name, values):
        def change(data):
            del data[name]
            data[name] = values

        return change

    nan = np.full((5, 3), np.nan)
    refused("demo_0.*eef_pos.*NaN", replaced("demo_0/next_obs/eef_pos", nan))
    refused("demo_1.*0 on axis|demo_1.* 3 on axis 0", replaced("demo_1/actions", np.full((3, 4), 3.0)))
    refused("demo_1.*outside its bounds", replaced("demo_1/actions", np.full((3, 4), np.nan)))
    refused("demo_2' has 6 actions, but says num_samples = 7", replaced("demo_2/actions", np.zeros((6, 4))))
    refused("otherwise than before", replaced("demo_1/obs/eef_pos", np.zeros((3, 2))))
    refused("3 actions, 3 rewards and 2, 3 observations", replaced("demo_1/obs/eef_pos", np.zeros((2, 3))))
    refused("is a link", replaced("demo_1/obs/eef_pos", h5py.ExternalLink("/etc/passwd", "x")))
    refused("no observations", lambda data: data["demo_0"].pop("obs"))
    refused(
        "'eef_poss', unknown here; did you mean eef_pos",
        lambda data: None,
        Want(parse_map({"observation": {"a": "eef_poss"}})),
    )


def test_a_taken_folder_stays_as_it_is(path, tmp_path):
    samples.robomimic(path)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine").write_text("x")
    with pytest.raises(DataError, match="nothing is overwritten"):
        import_data(path, tmp_path / "set", Want())
    assert (tmp_path / "set" / "mine").read_text() == "x"
    (tmp_path / "other.part").mkdir()
    with pytest.raises(DataError, match="another command is writing it"):
        import_data(path, tmp_path / "other", Want())


def test_a_task_takes_it_where_it_fits_and_says_what_differs(path, tmp_path):
    from robot_rl.data.demos import Demonstrations

    samples.robomimic(path)
    import_data(path, tmp_path / "plain", Want())
    schema = JournalReader(tmp_path / "plain").schema
    units = {"eef_pos": ("m", "in the base frame")}
    example = {"eef_pos": np.zeros(3, np.float32), "agentview_image": np.zeros((8, 6, 3), np.uint8)}
    task = type(schema).from_example("lift", example, ("x", "y", "z", "gripper"), units)
    _, notices = taken(path, tmp_path, schema=task)
    assert len(Demonstrations(tmp_path / "set", task)) == sum(samples.LENGTHS)
    assert (
        any("gripper (not observed in lift)" in line for line in notices.lines())
        if hasattr(notices, "lines")
        else any("gripper (not observed in lift)" in line for line in notices)
    )
    other = type(schema).from_example("lift", {**example, "force": np.zeros(6, np.float32)}, ("x", "y", "z", "g"))
    with pytest.raises(DataError, match="'force' is missing"):
        import_data(path, tmp_path / "no", Want(schema=other))
    with pytest.raises(DataError, match=r"'agentview_image' is uint8 \(4, 4, 3\), not uint8 \(8, 6, 3\)"):
        import_data(path, tmp_path / "no", Want(schema=task, size=(4, 4)))
    with pytest.raises(DataError, match="actions"):
        import_data(path, tmp_path / "no", Want(schema=type(schema).from_example("lift", example, ("x", "y"))))
    assert not (tmp_path / "no").exists()
