"""Networks with random weights stand for pretrained ones, which no test may fetch; what loads them is the real code."""

import pytest

from robot_rl.exceptions import ConfigError, DataError

torch = pytest.importorskip("torch")

from robot_rl.perception.backbone import fingerprint, open_backbone  # noqa: E402
from tests.robot_rl import operators  # noqa: E402, F401

PICTURES = torch.randint(0, 256, (2, 96, 128, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def check(network):
    with torch.inference_mode():
        features = network(PICTURES)
    assert features.shape == (2, 64, 4, 4) and features.dtype == torch.float32
    assert features.isfinite().all() and 0.05 < features.std() < 20
    assert not torch.allclose(features[0], features[1])
    assert all(not p.requires_grad for p in network.parameters())
    assert not network.training


def test_ours():
    check(open_backbone("compact"))


def test_ours_from_a_file(tmp_path):
    from robot_rl.perception.compact import WEIGHTS

    other = tmp_path / "mine.safetensors"
    other.write_bytes(WEIGHTS.read_bytes())
    assert fingerprint(open_backbone(str(other))) == fingerprint(open_backbone("compact"))


@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224", "mobilenetv3_small_050"])
def test_timm(name, tmp_path):
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(0)
    file = tmp_path / "weights.safetensors"
    save_file(timm.create_model(name, pretrained=False).state_dict(), file)
    network = open_backbone(f"timm:{name}@{file}")
    check(network)
    assert fingerprint(network) == fingerprint(open_backbone(f"timm:{name}@{file}"))


def test_a_hugging_face_vit(tmp_path):
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    ViTModel(ViTConfig(image_size=64, patch_size=8, **sizes)).save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path)
    check(open_backbone(f"hf:{tmp_path}"))


def test_a_hugging_face_resnet(tmp_path):
    from transformers import ConvNextImageProcessor, ResNetConfig, ResNetModel

    torch.manual_seed(0)
    ResNetModel(ResNetConfig(embedding_size=16, hidden_sizes=[16, 80], depths=[1, 1])).save_pretrained(tmp_path)
    ConvNextImageProcessor(size={"shortest_edge": 96}).save_pretrained(tmp_path)
    check(open_backbone(f"hf:{tmp_path}"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet18", "there is no backbone 'resnet18'.*timm:NAME"),
        ("timm:resnet10_of_my_own", "timm has no network 'resnet10_of_my_own'"),
        ("timm:resnet10t@weights.bin", "no .safetensors file"),
        ("timm:resnet10t@nowhere.safetensors", "no .safetensors file"),
        ("hf:./nowhere", "backbone hf:./nowhere does not load"),
    ],
)
def test_what_is_not_there_is_named(name, said):
    with pytest.raises(ConfigError, match=said):
        open_backbone(name)


def test_a_missing_file_of_ours_is_named():
    with pytest.raises(DataError, match=r"no file nowhere\.safetensors"):
        open_backbone("nowhere.safetensors")
