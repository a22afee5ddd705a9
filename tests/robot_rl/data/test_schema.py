import dataclasses
import json

import numpy as np
import pytest

from robot_rl.data.schema import Field, Schema
from robot_rl.exceptions import DataError
from tests.robot_rl.data import episodes


def test_json_gives_the_same_schema_back():
    schema = episodes.schema(images=True)
    again = Schema.from_json(schema.to_json())
    assert again == schema
    assert again.hash == schema.hash
    assert again.message_definition() == schema.message_definition()


@pytest.mark.parametrize(
    "change", [{"task": "other"}, {"actions": ("x", "y", "z")}, {"observation": (Field("tool_position", (4,)),)}]
)
def test_every_part_counts_in_the_hash(change):
    schema = episodes.schema()
    assert dataclasses.replace(schema, **change).hash != schema.hash


def test_message_definition_names_every_field_with_its_unit():
    text = episodes.schema(images=True).message_definition()
    assert "float32[3] observation_tool_position  # 1; over 0.05 m" in text
    assert "float32[6] next_observation_sim_cube" in text
    assert "uint8[] next_observation_wrist" in text
    assert "float32[3] action" in text
    assert (
        "uint16[12] observation_wrist_features  # float16 bits" in episodes.schema(features=True).message_definition()
    )


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", '{"task": 1}', json.dumps({"task": "t", "version": 99, "actions": ["x"], "observation": []})],
)
def test_text_that_is_no_schema_is_a_data_error(text):
    with pytest.raises(DataError):
        Schema.from_json(text)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ((Field("a b", (1,)), Field("a/b", (1,))), "a_b"),
        ((Field("???", (1,)),), "name of its own"),
        ((Field("a", (1,), "complex64"),), "complex64"),
        ((Field("a", (0,)),), "holds nothing"),
        ((), "at least one"),
    ],
)
def test_impossible_fields_are_refused(fields, words):
    with pytest.raises(DataError, match=words):
        Schema("reach", fields, ("x",))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"action": np.zeros(2, np.float32)}, "'action'"),
        ({"policy_action": np.zeros(3)}, "'policy_action'"),
        ({"action": [0.0, 0.0, 0.0]}, "'action' is list"),
        ({"reward": float("nan")}, "reward"),
        ({"stamp": float("inf")}, "stamp"),
        ({"observation": {}}, "observation"),
    ],
)
def test_a_transition_of_another_form_is_refused_by_name(change, words):
    schema, transition = episodes.schema(), next(episodes.stream(1))
    with pytest.raises(DataError, match=words):
        schema.validate(dataclasses.replace(transition, **change))


@pytest.mark.parametrize("value", [np.zeros(3), np.zeros(4, np.float32), np.full(3, np.nan, np.float32), None])
def test_a_wrong_observation_is_refused_by_name(value):
    schema, transition = episodes.schema(), next(episodes.stream(1))
    bad = {**transition.next_observation, "tool_position": value}
    with pytest.raises(DataError, match="next_observation 'tool_position'"):
        schema.validate(dataclasses.replace(transition, next_observation=bad))


def test_version_1_has_no_clamped_and_the_newest_has():
    newest = episodes.schema()
    first = Schema.from_json(json.dumps(json.loads(newest.to_json()) | {"version": 1}))
    assert first.version == 1
    assert first.newest() == newest
    assert {member.name for member in newest.members} - {member.name for member in first.members} == {"clamped"}
    assert len({first.hash, newest.hash, first.label_hash, newest.label_hash}) == 4


def test_a_label_explains_itself():
    text = episodes.schema().label_definition()
    assert "float64 stamp  # s; when it was judged" in text
    assert text.splitlines()[-1].startswith("uint32 checksum")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "a\nb"}, "no line of text"),
        ({"note": "\x1b[2J"}, "no line of text"),
        ({"shape": (2**20, 2**20)}, "larger than"),
        ({"shape": (1.5,)}, "whole numbers"),
    ],
)
def test_what_nobody_could_read_back_is_refused_when_it_is_made(change, words):
    with pytest.raises(DataError, match=words):
        Schema("reach", (dataclasses.replace(Field("a", (1,)), **change),), ("x",))
