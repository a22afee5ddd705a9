"""Hostile messages, images and schemas: a `DataError`, or something that is valid; never anything else."""

import copy
import json
import tracemalloc
import zlib

import numpy as np
import pytest

from robot_rl.data.codec import decode, encode, peek, unpack
from robot_rl.data.label import Label
from robot_rl.data.mcap_file import head
from robot_rl.data.png import _chunk, _frame, decode_png, encode_png
from robot_rl.data.schema import LARGEST, Schema
from robot_rl.exceptions import DataError
from tests.robot_rl.data import episodes
from tests.robot_rl.data.mutations import mutate, no_code_runs, sealed

SCHEMA = episodes.schema(images=True)
FIRST, SECOND = list(episodes.stream(2, images=True))
LABEL = Label("judge", 3, 0.5, "episode", -1, "human", 2, "reward", 1.5)
MESSAGES = {
    "whole": (encode(FIRST, SCHEMA), None),
    "shared": (encode(SECOND, SCHEMA, whole=False), FIRST),
    "label": (encode(LABEL, SCHEMA), None),
}


@pytest.mark.parametrize("kind", MESSAGES)
def test_damage_is_seen(kind):
    data, previous = MESSAGES[kind]
    rng = np.random.default_rng(1)
    decode(data, SCHEMA, previous)
    with no_code_runs():
        for _ in range(3000):
            damaged = mutate(rng, data)
            for read in (lambda: decode(damaged, SCHEMA, previous), lambda: peek(damaged, SCHEMA)):  # noqa: B023
                with pytest.raises(DataError):
                    read()


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_forged_message_is_refused_or_valid(kind):
    """With a checksum that is right, the members themselves are what a decoder has to doubt."""
    data, previous = MESSAGES[kind]
    rng, taken = np.random.default_rng(2), 0
    for _ in range(4000):
        forged = sealed(mutate(rng, data))
        try:
            with no_code_runs():
                record = decode(forged, SCHEMA, previous)
        except DataError:
            continue
        taken += 1
        again = encode(record, SCHEMA)  # validates
        assert episodes.same(decode(again, SCHEMA), record)
    assert 0 < taken < 3000


def test_a_pickle_is_a_damaged_message():
    evil = b"cos\nsystem\n(S'touch /tmp/pwned'\ntR." * 30
    for data in (evil, sealed(MESSAGES["whole"][0][:12] + evil), sealed(evil)):
        with no_code_runs(), pytest.raises(DataError):
            unpack(data, SCHEMA)


def test_damaged_images_are_refused_or_of_the_right_shape():
    image = np.random.default_rng(3).integers(0, 256, (16, 12, 3), dtype=np.uint8)
    data, rng, taken = encode_png(image), np.random.default_rng(4), 0
    with no_code_runs():
        for _ in range(4000):
            try:
                found = decode_png(mutate(rng, data), image.shape)
            except DataError:
                continue
            taken += 1
            assert found.shape == image.shape
            assert found.dtype == np.uint8
    assert taken < 1000  # PNG's own checksums are not looked at: the record has one


def test_an_image_that_swells_takes_no_memory():
    shape = (16, 12, 3)
    bomb = zlib.compress(bytes(200_000_000), 9)
    data = _frame(shape) + _chunk(b"IDAT", bomb) + _chunk(b"IEND", b"")
    tracemalloc.start()
    with pytest.raises(DataError, match="or more"):
        decode_png(data, shape)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(data) < 300_000
    assert peak < 2_000_000


VALUES = [
    None, True, -1, 0, 2**31, 2**63, 2**80, 1e400, float("nan"), 0.5, "", "x" * 5000, "a\nb", "\x1b[31m", "float32",
    "uint8", "object", "O", "../../etc", [], [[]], [1] * 40, {}, {"a": 1}, ["x", "x"], [10**6, 10**6], [1, 1, 1, 1],
]  # fmt: skip


def _places(content, path=()):
    yield path
    children = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, child in children:
        yield from _places(child, (*path, key))


def _changed(rng: np.random.Generator, content):
    places = [path for path in _places(content) if path]
    path = places[rng.integers(len(places))]
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    if rng.integers(4) == 0:
        del parent[path[-1]]
    elif rng.integers(8) == 0 and isinstance(parent, dict):
        parent[f"odd{rng.integers(9)}"] = 1
    else:
        parent[path[-1]] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    return content


def test_a_hostile_schema_is_refused_or_usable():
    text, rng, taken = SCHEMA.to_json(), np.random.default_rng(5), 0
    for _ in range(5000):
        content = json.loads(text)
        for _ in range(rng.integers(1, 4)):
            content = _changed(rng, content)
        hostile = json.dumps(content) if rng.integers(5) else mutate(rng, text.encode()).decode(errors="replace")
        try:
            with no_code_runs():
                schema = Schema.from_json(hostile)
        except DataError:
            continue
        taken += 1
        assert schema == Schema.from_json(schema.to_json())
        assert schema.layout.itemsize < 3 * LARGEST
        assert head(schema)
        assert all(line.count("\n") == 0 for line in schema.message_definition().splitlines())
    assert 50 < taken < 4000


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "1" * 10_000, '"\\ud800"', "NaN"])
def test_text_that_breaks_parsers_is_no_schema(text):
    with pytest.raises(DataError):
        Schema.from_json(text)
