import numpy as np

from robot_rl.data.lerobot import stats
from robot_rl.data.lerobot.stats import QUANTILES, ImageStats, VectorStats


def test_vectors_are_summed_up_as_numpy_does_in_whatever_pieces_they_come(monkeypatch):
    values = np.random.default_rng(0).normal(1e3, 1.0, (997, 3)).astype(np.float32)
    pieces = VectorStats()
    for part in np.split(values, [1, 2, 300, 300, 901]):
        pieces.add(part)
    found = pieces.describe()
    exact = values.astype(np.float64)
    assert found["count"] == [997]
    assert np.allclose(found["mean"], exact.mean(axis=0), rtol=1e-12)
    assert np.allclose(found["std"], exact.std(axis=0), rtol=1e-9)
    assert (found["min"], found["max"]) == (exact.min(axis=0).tolist(), exact.max(axis=0).tolist())
    for name, part in QUANTILES.items():
        assert np.allclose(found[name], np.quantile(exact, part, axis=0))


def test_quantiles_of_many_rows_are_of_every_kth(monkeypatch):
    monkeypatch.setattr(stats, "_SAMPLE", 512)
    summed = VectorStats()
    values = np.random.default_rng(0).permutation(20_000).astype(np.float64)
    for part in np.split(values, np.cumsum(np.random.default_rng(1).integers(1, 97, 300))):
        summed.add(part)
    assert sum(map(len, summed._sample)) < 1024
    assert np.isin(np.concatenate(summed._sample)[:, 0], values[:: summed._every]).all()
    for name, part in QUANTILES.items():
        assert abs(summed.describe()[name][0] / 20_000 - part) < 0.05


def test_flags_and_single_rows_have_statistics_too():
    flags = VectorStats()
    flags.add(np.array([True, False, True, True]))
    assert flags.describe()["mean"] == [0.75]
    single = VectorStats()
    single.add(np.array([[3, 4]]))
    assert (single.describe()["std"], single.describe()["q99"]) == ([0.0, 0.0], [3.0, 4.0])


def test_images_are_summed_up_by_channel_from_0_to_1():
    images = np.random.default_rng(0).integers(10, 200, (9, 20, 30, 3), dtype=np.uint8)
    summed = ImageStats()
    for image in images:
        summed.add(image)
    found, scaled = summed.describe(), images / 255
    assert found["count"] == [9]
    assert np.shape(found["mean"]) == (3, 1, 1)
    for name, exact in {
        "mean": scaled.mean(axis=(0, 1, 2)), "std": scaled.std(axis=(0, 1, 2)),
        "min": scaled.min(axis=(0, 1, 2)), "max": scaled.max(axis=(0, 1, 2)),
        **{name: np.quantile(scaled, part, axis=(0, 1, 2)) for name, part in QUANTILES.items()},
    }.items():  # fmt: skip
        assert np.allclose(np.ravel(found[name]), exact, atol=1 / 255), name
    assert np.allclose(np.ravel(found["mean"]), scaled.mean(axis=(0, 1, 2)), atol=1e-12)
