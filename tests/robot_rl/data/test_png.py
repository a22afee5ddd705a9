import io
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nst

from robot_rl.data.png import decode_png, encode_png, same_picture
from robot_rl.exceptions import DataError

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))


@given(SHAPES.flatmap(lambda shape: nst.arrays(np.uint8, shape)))
def test_lossless(image):
    assert np.array_equal(decode_png(encode_png(image), image.shape), image)


@pytest.mark.parametrize("channels", [1, 3])
def test_another_program_reads_it(channels):
    image_module = pytest.importorskip("PIL.Image")
    image = np.random.default_rng(0).integers(0, 256, (7, 5, channels), dtype=np.uint8)
    read = np.asarray(image_module.open(io.BytesIO(encode_png(image))))
    assert np.array_equal(read.reshape(image.shape), image)


@given(data=st.binary(max_size=80))
def test_noise_is_a_data_error(data):
    with pytest.raises(DataError):
        decode_png(data, (4, 4, 3))


def test_damage_and_another_shape_are_data_errors():
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    good = encode_png(image)
    with pytest.raises(DataError, match="not a PNG of shape"):
        decode_png(good, (4, 5, 3))
    for size in range(len(good)):
        try:
            assert np.array_equal(decode_png(good[:size], image.shape), image)
        except DataError:
            continue


def test_a_bomb_is_not_unpacked():
    bomb = encode_png(np.zeros((2000, 2000, 3), np.uint8))
    small = encode_png(np.zeros((2, 2, 3), np.uint8))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="decompresses to"):
            decode_png(small[:33] + bomb[33:], (2, 2, 3))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_the_same_picture_is_known_however_it_was_packed():
    import zlib

    from robot_rl.data.png import _chunk, _frame

    image = np.random.default_rng(0).integers(0, 4, (7, 5, 3), dtype=np.uint8)
    packed = encode_png(image)
    start, end = len(_frame(image.shape)) + 8, len(packed) - 16
    rows = zlib.decompress(packed[start:end])
    other = _frame(image.shape) + _chunk(b"IDAT", zlib.compress(rows, 9)) + _chunk(b"IEND", b"")
    assert packed != other and same_picture(packed, other) and same_picture(packed, packed)
    assert not same_picture(packed, encode_png(image + 1))
    assert not same_picture(packed, encode_png(image[:6]))
    for damaged in (b"", packed[:30], packed.replace(b"IHDR\0\0", b"IHDR\xff\xff")):
        with pytest.raises(DataError, match="image"):
            same_picture(packed, damaged)
