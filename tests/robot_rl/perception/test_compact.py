"""Our own backbone: what it costs, what it gives, and which files it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robot_rl.exceptions import DataError
from robot_rl.perception import FEATURES

torch = pytest.importorskip("torch")
from robot_rl.perception import compact  # noqa: E402
from robot_rl.perception.compact import CompactNet, load_compact, save_compact  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def pictures(n: int, height: int = 128, width: int = 128) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (n, height, width, 3), dtype=np.uint8))


def folded(seed: int = 0) -> CompactNet:
    torch.manual_seed(seed)
    network = CompactNet()
    network.fold()
    return network


def test_a_picture_costs_less_than_50_mflop():
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        folded()(pictures(1))
    assert 10e6 < counter.get_total_flops() < 50e6


@pytest.mark.parametrize("height,width", [(128, 128), (64, 64), (240, 320)])
def test_features_have_the_one_shape_and_are_safe_as_float16(height, width):
    features = load_compact()(pictures(2, height, width))
    channels = FEATURES[2]
    assert features.shape == (2, channels, *FEATURES[:2]) and features.dtype == torch.float32
    assert features.isfinite().all() and features.abs().max() <= compact.LIMIT
    assert 0.1 < features.std() < 4


@pytest.mark.parametrize(
    "wrong,why",
    [
        (torch.zeros(1, 128, 128, 3), "uint8"),
        (torch.zeros(1, 3, 128, 128, dtype=torch.uint8), "uint8"),
        (torch.zeros(1, 32, 128, 3, dtype=torch.uint8), "at least 64"),
    ],
)
def test_other_pictures_are_refused(wrong, why):
    with pytest.raises(ValueError, match=why):
        folded()(wrong)


def test_folding_changes_nothing_that_is_seen():
    torch.manual_seed(0)
    network = CompactNet()
    network.train()
    network(pictures(8))  # the batch norms learn what is usual
    network.eval()
    before = network(pictures(4))
    network.fold()
    assert torch.allclose(before, network(pictures(4)), atol=1e-4)
    assert not any("running" in name for name in network.state_dict())


def test_a_point_follows_what_it_sees():
    """Heat that is the picture's own brightness puts its centre of mass where the bright spot is."""
    network = folded()
    fine = torch.zeros(1, 32, 32, 32)
    fine[0, 0, 20, 5] = 1.0
    network.heat_fine.weight[:] = 0.0
    network.heat_fine.weight[3, 0] = 50.0
    heat = network._heat(fine, torch.zeros(1, 64, 16, 16), torch.zeros(1, 96, 8, 8))
    column, row, spread = network._points(heat)[0, 3]
    assert column == pytest.approx((5.5 / 32) * 2 - 1, abs=1e-3)
    assert row == pytest.approx((20.5 / 32) * 2 - 1, abs=1e-3)
    assert spread < 0.01


def test_a_file_comes_back_as_it_was(tmp_path):
    network, path = folded(3), tmp_path / "own.safetensors"
    save_compact(network, path, {"seed": "3"})
    assert torch.equal(load_compact(path)(pictures(2)), network(pictures(2)))
    assert compact.read_weights(path)[1]["seed"] == "3"


def damage(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x55
    path.write_bytes(data)


def test_a_damaged_file_is_refused_by_name(tmp_path):
    path = tmp_path / "own.safetensors"
    with pytest.raises(DataError, match=r"no file .*own\.safetensors"):
        load_compact(path)
    save_compact(folded(), path, {})
    damage(path, -10)
    with pytest.raises(DataError, match=r"own\.safetensors is damaged"):
        load_compact(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"own\.safetensors cannot be read as safetensors"):
        load_compact(path)


def test_files_of_something_else_are_refused_by_name(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(3)}, path)
    with pytest.raises(DataError, match=r"other\.safetensors has the format None"):
        load_compact(path)
    save_file(
        {"a": torch.zeros(3)}, path, {"format": compact.FORMAT, "sha256": compact.checksum({"a": torch.zeros(3)})}
    )
    with pytest.raises(DataError, match=r"other\.safetensors holds weights of another network"):
        load_compact(path)
