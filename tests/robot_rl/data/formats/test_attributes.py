import time

import h5py
import numpy as np
import pytest

from robot_rl.data.formats import attributes
from robot_rl.data.formats.foreign import import_data
from robot_rl.data.formats.intake import Want
from robot_rl.exceptions import DataError
from tests.robot_rl.data.formats import samples


@pytest.fixture
def item(tmp_path):
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        attrs = file.create_group("data").attrs
        attrs["long"], attrs["fixed"], attrs["count"] = "grüße", np.bytes_("plain"), np.int64(7)
        attrs["broken"], attrs["half"] = np.bytes_(b"\xff\xfe"), 0.5
    with h5py.File(tmp_path / "a.hdf5", "r") as file:
        yield file["data"]


def test_texts_of_any_and_of_fixed_length_are_read(item):
    assert attributes.text(item, "long") == "grüße"
    assert attributes.text(item, "fixed") == "plain"
    assert attributes.text(item, "none") is None


@pytest.mark.parametrize("name", ["count", "broken"])
def test_what_is_no_text_is_named(item, name):
    with pytest.raises(DataError, match=f"'{name}'"):
        attributes.text(item, name)


def test_whole_numbers_are_read_and_others_are_named(item):
    assert attributes.count(item, "count", 0) == 7
    assert attributes.count(item, "none", 3) == 3
    for name in ("half", "long"):
        with pytest.raises(DataError, match=f"'{name}'"):
            attributes.count(item, name, 0)


def test_a_heap_that_the_library_would_search_for_ever_ends_the_import(tmp_path, monkeypatch):
    path = tmp_path / "demo.hdf5"
    samples.robomimic(path)
    content = bytearray(path.read_bytes())
    end = content.index(b"}}", content.index(b'{"env_name"')) + 2
    free = end + -end % 8  # the heap's free space comes next: index, count, then its size, by which the search goes on
    assert int.from_bytes(content[free : free + 2], "little") == 0
    content[free + 8 : free + 16] = bytes(8)
    path.write_bytes(content)
    monkeypatch.setattr(attributes, "PATIENCE", 3.0)
    started = time.monotonic()
    with pytest.raises(DataError, match=r"demo\.hdf5.*'env_args' of '/data' was not read within 3 s"):
        import_data(path, tmp_path / "set", Want(), "robomimic")
    assert time.monotonic() - started < 30
    assert list(tmp_path.iterdir()) == [path]
