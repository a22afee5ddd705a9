"""Frozen backbones by name: ours, timm's and Hugging Face's, all with features of one shape.

A map of another size is averaged to 4x4 cells. Other people's maps are normalised in each cell (mean 0, variance 1 over
the channels) and projected to 64 channels by a fixed random matrix with orthonormal columns, which keeps distances
nearly as they were (Johnson and Lindenstrauss, 1984).
"""

from __future__ import annotations

import hashlib
import math
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.exceptions import ConfigError
from robot_rl.perception import FEATURES
from robot_rl.perception.compact import checksum, load_compact

try:
    import torch
    from torch import Tensor, nn
except ImportError as error:  # pragma: no cover
    raise ConfigError("image backbones need PyTorch: pip install 'robot_rl[perception]'") from error

COMPACT, TIMM, HUGGING_FACE = "compact", "timm:", "hf:"
CELLS, CHANNELS = FEATURES[0], FEATURES[2]


def open_backbone(name: str) -> nn.Module:
    """The frozen network `name`: uint8 pictures (n, h, w, 3) to float32 features (n, 64, 4, 4).

    name: "compact", a file of our own network's weights, "timm:NAME[@FILE.safetensors]" or "hf:NAME_OR_FOLDER".
    Raises `ConfigError` where there is no such network, or what it needs is missing; `DataError` for damaged weights.
    """
    if name == COMPACT:
        return load_compact()
    if name.startswith(TIMM):
        return Foreign(_Timm(*_place(name.removeprefix(TIMM))), name)
    if name.startswith(HUGGING_FACE):
        return Foreign(_HuggingFace(name.removeprefix(HUGGING_FACE)), name)
    if Path(name).suffix == ".safetensors":
        return load_compact(Path(name))
    raise ConfigError(
        f"there is no backbone {name!r}; give compact, a .safetensors file of robot-rl pretrain, timm:NAME or hf:NAME"
    )


def fingerprint(network: nn.Module) -> str:
    """16 hexadecimal digits of the weights' SHA-256: features of equal fingerprints are comparable."""
    return checksum({name: value.cpu() for name, value in network.state_dict().items()})[:16]


class Foreign(nn.Module):
    """Somebody else's network, its pictures as it wants them and its map as ours."""

    projection: Tensor

    def __init__(self, network: nn.Module, name: str) -> None:
        super().__init__()
        self.network = network
        self.eval().requires_grad_(False)
        with torch.inference_mode():
            channels = self.network(torch.zeros(1, 3, *network.size)).shape[1]
        self.register_buffer("projection", _orthonormal(channels, name))

    def forward(self, pictures: Tensor) -> Tensor:
        """Features (n, 64, 4, 4) of uint8 (n, h, w, 3)."""
        x = pictures.permute(0, 3, 1, 2).float() / 255
        if tuple(x.shape[2:]) != tuple(self.network.size):
            x = nn.functional.interpolate(x, self.network.size, mode="bilinear", antialias=True)
        grid = nn.functional.adaptive_avg_pool2d(self.network((x - self.network.mean) / self.network.std), CELLS)
        cells = nn.functional.layer_norm(grid.permute(0, 2, 3, 1), grid.shape[1:2])
        return (cells @ self.projection).permute(0, 3, 1, 2)


class _Timm(nn.Module):
    """One of timm's networks, to its last map (n, c, h, w)."""

    def __init__(self, name: str, weights: Path | None) -> None:
        super().__init__()
        timm = _library("timm")
        if not timm.is_model(name):
            near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5]) or "timm.list_models() has them all"
            raise ConfigError(f"timm has no network {name!r}; there are {near}")
        if weights is not None and (weights.suffix != ".safetensors" or not weights.is_file()):
            raise ConfigError(f"{weights} is no .safetensors file with weights of {name}; name one behind the @")
        overlay = {} if weights is None else {"pretrained_cfg_overlay": {"file": str(weights)}}
        try:
            self.model = timm.create_model(name, pretrained=True, features_only=True, out_indices=(-1,), **overlay)
        except (OSError, RuntimeError, ValueError) as error:
            raise _unloadable(TIMM + name, error) from error
        about: dict[str, Any] = timm.data.resolve_data_config(self.model.pretrained_cfg)
        self.size = tuple(about["input_size"][1:])
        self.mean, self.std = _colours(about["mean"]), _colours(about["std"])

    def forward(self, pictures: Tensor) -> Tensor:
        features: Tensor = self.model(pictures)[-1]
        return features


class _HuggingFace(nn.Module):
    """A vision network of Hugging Face's transformers, to its last hidden state as a map (n, c, h, w)."""

    def __init__(self, name: str) -> None:
        super().__init__()
        library = _library("transformers")
        try:
            model = library.AutoModel.from_pretrained(name, use_safetensors=True, trust_remote_code=False)
            processor = library.AutoImageProcessor.from_pretrained(name, trust_remote_code=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise _unloadable(HUGGING_FACE + name, error) from error
        self.model = getattr(model, "vision_model", model)  # of a CLIP, the half that sees
        size = getattr(self.model.config, "image_size", None) or dict(processor.size or {}).get("height", 224)
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.mean = _colours(processor.image_mean or (0.5,) * 3)
        self.std = _colours(processor.image_std or (0.5,) * 3)

    def forward(self, pictures: Tensor) -> Tensor:
        hidden: Tensor = self.model(pixel_values=pictures).last_hidden_state
        if hidden.ndim == 4:
            return hidden
        side = math.isqrt(hidden.shape[1])  # a square of patches, behind the tokens that stand for the whole
        patches = hidden[:, hidden.shape[1] - side * side :]
        return patches.transpose(1, 2).unflatten(2, (side, side))


def _library(name: str) -> Any:
    """A library of networks. Both look for torchvision, which must be built for the torch that is installed."""
    try:
        import_module("torchvision")
        return import_module(name)
    except (ImportError, RuntimeError) as error:
        raise ConfigError(
            f"{name} cannot be used ({error}); pip install 'robot_rl[perception]', torch and torchvision of one build"
        ) from error


def _place(name: str) -> tuple[str, Path | None]:
    """A network's name, and the file of its weights where one is named."""
    name, _, file = name.partition("@")
    return name, Path(file) if file else None


def _unloadable(name: str, error: Exception) -> ConfigError:
    said = str(error).strip().splitlines() or [type(error).__name__]
    return ConfigError(
        f"backbone {name} does not load ({said[0]:.200}); check its name and the network, or name a local copy"
    )


def _colours(values: Any) -> Tensor:
    """One number for each of red, green and blue, for (n, 3, h, w)."""
    return torch.tensor(tuple(values)).float().view(3, 1, 1)


def _orthonormal(channels: int, name: str) -> Tensor:
    """(channels, 64), drawn by the name: orthonormal columns, or rows where there are fewer of them."""
    seed = int.from_bytes(hashlib.sha256(name.partition("@")[0].encode()).digest()[:8], "little")
    drawn = np.random.default_rng(seed).normal(size=(max(channels, CHANNELS), min(channels, CHANNELS)))
    columns = np.linalg.qr(drawn)[0].astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(columns if channels >= CHANNELS else columns.T))
