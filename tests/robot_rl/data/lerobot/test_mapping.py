import json

import numpy as np
import pytest

from robot_rl.data.formats.mapping import Scale
from robot_rl.data.lerobot.dataset import Dataset
from robot_rl.data.lerobot.layout import Feature
from robot_rl.data.lerobot.mapping import Plan, Source, make_plan
from robot_rl.data.schema import Field, Schema
from robot_rl.exceptions import DataError
from tests.robot_rl.data.lerobot import samples


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "set"
    more = {
        "observation.depth": Feature("observation.depth", "image", (4, 4, 1), None, {"is_depth_map": True}),
        "note": Feature("note", "string"),
    }
    samples.foreign(folder, features={**samples.FOREIGN, "note": more["note"]}, note=lambda *_: "hello")
    info = json.loads((folder / "meta/info.json").read_text())
    info["features"] |= {name: feature.to_json() for name, feature in more.items()}
    (folder / "meta/info.json").write_text(json.dumps(info))
    return Dataset(folder)


def fields(plan):
    return {field.name: (field.shape, field.dtype) for field in plan.schema.observation}


def test_lerobots_own_names_need_no_map(dataset):
    plan = make_plan(dataset, {})
    assert fields(plan) == {"state": ((3,), "float32"), "top": ((*samples.SIZE, 3), "uint8")}
    assert (plan.schema.task, plan.schema.actions) == ("stack", ("dx", "dy"))
    assert plan.sources["reward"].feature.name == "next.reward"
    assert "observation.depth" not in plan.features and "note" not in plan.features


def test_a_map_takes_features_apart_and_names_them(dataset):
    plan = make_plan(dataset, {"joint": "observation.state[0:2]", "grip": "observation.state[2:3]", "reward": "index"})
    assert fields(plan) == {"joint": ((2,), "float32"), "grip": ((1,), "float32")}
    row = {"observation.state": np.array([1.0, 2.0, 3.0]), "index": np.int64(7)}
    assert [value.tolist() for value in plan.observation(row).values()] == [[3.0], [1.0, 2.0]]
    sources = {name: plan.sources[name] for name in ("reward",)}
    assert Plan(plan.schema, (), sources, False, Scale()).values(row) == {"reward": 7.0}


@pytest.mark.parametrize(
    "feature_map, words",
    [
        (
            {"joint": "observation.stat"},
            "no feature 'observation.stat'; it has observation.state, observation.images.top",
        ),
        ({"joint": "observation.state[2:5]"}, "no part of 'observation.state', which is float64"),
        ({"joint": "observation.images.top[0:2]"}, "no part"),
        ({"joint": "note"}, "'note' is string"),
        ({"deep": "observation.depth"}, "no colour image"),
        ({"action": "note"}, "'note' is string, and action must be numbers"),
        ({"reward": "action"}, r"'action' is \(2,\), and reward is one number"),
        ({"done": "observation.images.top"}, "must be numbers"),
    ],
)
def test_what_does_not_fit_is_said_with_what_is_known(dataset, feature_map, words):
    with pytest.raises(DataError, match=words):
        make_plan(dataset, feature_map)


def schema(*observation, actions=("x", "y")):
    return Schema("reach", observation, actions)


def test_a_tasks_own_schema_is_filled(dataset):
    wanted = schema(Field("joint", (3,)), Field("cam", (16, 24, 3), "uint8"))
    plan = make_plan(dataset, {"joint": "observation.state", "cam": "observation.images.top"}, wanted, size=(16, 24))
    assert plan.schema is wanted
    row = {"observation.state": np.ones(3), "observation.images.top": np.full((*samples.SIZE, 3), 9, np.uint8)}
    seen = plan.observation(row)
    wanted.observation[0].check(seen["joint"], "")
    assert seen["cam"].shape == (16, 24, 3) and (seen["cam"] == 9).all()


@pytest.mark.parametrize(
    "wanted, words",
    [
        (schema(Field("speed", (3,))), "nothing of .* is mapped to the observation 'speed'"),
        (schema(Field("state", (4,))), r"'observation.state' is \(3,\); the observation 'state' is \(4,\)"),
        (schema(Field("top", (8, 8, 3), "uint8")), r"'observation.images.top' is \(32, 48, 3\)"),
        (schema(Field("state", (3,)), actions=("x", "y", "z")), r"'action' is \(2,\); the actions are x, y, z"),
    ],
)
def test_a_schema_that_cannot_be_filled_is_refused(dataset, wanted, words):
    with pytest.raises(DataError, match=words):
        make_plan(dataset, {}, wanted)


def test_actions_come_within_their_bounds(tmp_path):
    samples.foreign(tmp_path / "set", action=lambda episode, step: np.array([90.0 * step, -5], np.float32))
    dataset = Dataset(tmp_path / "set")
    with pytest.raises(DataError, match=r"not within \[-1, 1\].*low: \[0, -5\], high: \[270, -5\]"):
        make_plan(dataset, {})
    plan = make_plan(dataset, {}, scale=Scale(("hip", "knee"), (-270, -10), (270, 10)))
    assert plan.schema.actions == ("hip", "knee")
    values = plan.values({"action": np.array([270, -5]), "next.reward": 0})
    assert values["action"].tolist() == [1.0, -0.5]
    with pytest.raises(DataError, match="outside its bounds"):
        plan.values({"action": np.array([300, -5]), "next.reward": 0})


def ends(**row):
    names = {"done": "next.done", "truncated": "next.truncated", "success": "next.success", "terminated": "end"}
    sources = {name: Source(Feature(names[name], "bool")) for name in row}
    plan = Plan(schema(Field("state", (1,))), (), sources, False, Scale())
    return plan.ends({names[name]: np.bool_(value) for name, value in row.items()})


def test_how_an_episode_ended_is_told_from_what_there_is():
    assert ends() == (False, False)
    assert ends(done=True) == (True, False)
    assert ends(done=True, success=True) == (True, False)
    assert ends(done=True, success=False) == (False, True)
    assert ends(done=True, truncated=True) == (False, True)
    assert ends(done=True, truncated=False, success=False) == (True, False)
    assert ends(terminated=True, truncated=True) == (True, True)
    assert ends(terminated=False, done=True) == (False, True)
    assert ends(done=False, success=True) == (False, False)
