"""Our own backbone: pictures to a 4x4 map of 64 channels, for less than 50 MFLOP a picture.

Where things are is what a policy needs from a camera. So besides a strided convolutional network there are learnt
points: heat maps whose centres of mass ("spatial softmax", Levine et al. 2016, eq. 3; as regression of supervised
points, Sun et al. 2018) say to a fraction of a pixel where something is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from robot_rl.exceptions import ConfigError, DataError

try:
    import torch
    from torch import Tensor, nn
except ImportError as error:  # pragma: no cover
    raise ConfigError("image backbones need PyTorch: pip install 'robot_rl[perception]'") from error

WEIGHTS = Path(__file__).with_name("weights") / "compact.safetensors"
FORMAT = "robot_rl.compact/1"
SIZE = 128
"""Height and width, pixels, that pictures are resized to."""
SMALLEST = 64
"""Height and width, pixels, below which a picture is refused."""
POINTS = 32
"""Heat maps."""
POINT_CHANNELS = 3 * POINTS // 16
"""Channels of the map that hold the points' columns, rows and spreads; the others hold what is in a cell."""
CHANNELS = 64
SHARPNESS = 4.0
"""Of heat maps: what their logits are multiplied by, so that points leave the middle early in training."""
LIMIT = 8.0
"""Bound of the features, in their own standard deviations."""


class Convolution(nn.Sequential):
    """Convolution, batch norm while it is trained, ReLU. groups: as many as channels make it depthwise."""

    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def fold(self) -> None:
        """Make the batch norm's affine map a part of the convolution: nothing then depends on a batch."""
        if isinstance(self[1], nn.BatchNorm2d):
            self[0] = nn.utils.fusion.fuse_conv_bn_eval(self[0].eval(), self[1].eval())
            self[1] = nn.Identity()


class CompactNet(nn.Module):
    """uint8 pictures (n, height, width, 3) to features (n, 64, 4, 4), float32 within +-8 and of scale 1.

    The first `POINT_CHANNELS` channels, taken as one row of 96, are the points' columns, rows (both -1 to 1, from the
    left and from the top) and spreads. Pictures of another size than 128x128 are resized, from 64x64 up.
    """

    shift: Tensor
    scale: Tensor
    grid: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Sequential(Convolution(3, 16, stride=2), Convolution(16, 32, stride=2))
        self.fine = nn.Sequential(Convolution(32, 32, 5, groups=32), Convolution(32, 32, 1))
        self.middle = nn.Sequential(Convolution(32, 64, stride=2), Convolution(64, 64, 5, groups=64))
        self.mix = Convolution(64, 64, 1)
        self.late = nn.Sequential(Convolution(64, 96, stride=2), Convolution(96, 96, 5, groups=96))
        self.heat_fine = nn.Conv2d(32, POINTS, 1)
        self.heat_middle = nn.Conv2d(64, POINTS, 1, bias=False)
        self.heat_late = nn.Conv2d(96, POINTS, 1, bias=False)
        self.cells = nn.Conv2d(96, CHANNELS - POINT_CHANNELS, 3, 2, 1)
        self.register_buffer("shift", torch.zeros(CHANNELS, 4, 4))
        self.register_buffer("scale", torch.ones(CHANNELS, 4, 4))
        self.register_buffer("grid", _grid(SIZE // 4), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Features of uint8 (n, height, width, 3). Raises ValueError for another type, shape or too small a size."""
        features, _, _ = self.look(pictures)
        return torch.clamp((features - self.shift) * self.scale, -LIMIT, LIMIT)

    def look(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For training: features before they are normalised; points (n, POINTS, 3): column, row, spread; their heat.

        The heat is given as logits (n, POINTS, 1024), by rows of the picture.
        """
        x = _prepare(pictures)
        early = self.early(x)
        fine = early + self.fine(early)
        middle = self.middle(fine)
        middle = middle + self.mix(middle)
        late = self.late(middle)
        heat = self._heat(fine, middle, late)
        points = self._points(heat)
        rows = points.transpose(1, 2).reshape(-1, POINT_CHANNELS, 4, 4)
        return torch.cat([rows, torch.tanh(self.cells(late))], dim=1), points, heat

    def _heat(self, fine: Tensor, middle: Tensor, late: Tensor) -> Tensor:
        """Logits of heat at a quarter of the picture's size, from three scales."""
        heat = self.heat_middle(middle) + _double(self.heat_late(late))
        heat = self.heat_fine(fine) + _double(heat)
        return SHARPNESS * heat.flatten(2)

    def _points(self, heat: Tensor) -> Tensor:
        """Centres of mass and spreads."""
        moments = torch.softmax(heat, dim=2) @ self.grid
        centre, square = moments[..., :2], moments[..., 2]
        spread = torch.sqrt(torch.relu(square - centre.square().sum(2)) + 1e-6)
        return torch.cat([centre, spread[..., None]], dim=2)

    def fold(self) -> None:
        """Fold the batch norms into the convolutions; the network is then only good for looking."""
        for part in self.modules():
            if isinstance(part, Convolution):
                part.fold()
        self.eval().requires_grad_(False)


def load_compact(path: Path | None = None) -> CompactNet:
    """The network with the weights of a file that `robot-rl pretrain` wrote, or with those that are shipped.

    It is ready to look, without gradients. Raises `DataError` for a file that is missing, damaged or something else.
    """
    path = WEIGHTS if path is None else path
    tensors, about = read_weights(path)
    if about.get("format") != FORMAT:
        raise DataError(
            f"{path} has the format {about.get('format')!r}, not {FORMAT!r}: write it with robot-rl pretrain"
        )
    if about.get("sha256") != checksum(tensors):
        raise DataError(
            f"{path} is damaged: its weights do not have its checksum; write it again with robot-rl pretrain"
        )
    network = CompactNet()
    network.fold()
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise DataError(f"{path} holds weights of another network: write it again with robot-rl pretrain") from error
    return network


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, and what the file's header says about them. Raises `DataError`."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise DataError(f"there is no file {path} with weights: write one with robot-rl pretrain")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path} cannot be read as safetensors ({error}): write it again with robot-rl pretrain"
        ) from error


def save_compact(network: CompactNet, path: Path, about: Mapping[str, str]) -> None:
    """Write a folded network, with `about` in the header, to a file that appears whole."""
    from safetensors.torch import save_file

    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    part = path.with_name(path.name + ".part")
    save_file(tensors, part, {**about, "format": FORMAT, "sha256": checksum(tensors)})
    part.replace(path)


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names and values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def _prepare(pictures: Tensor) -> Tensor:
    """(n, 3, SIZE, SIZE), float32 within +-1."""
    shape = tuple(pictures.shape)
    if pictures.dtype != torch.uint8 or len(shape) != 4 or shape[3] != 3:
        raise ValueError(f"pictures are {pictures.dtype} {shape}: give uint8 (n, height, width, 3)")
    if min(shape[1:3]) < SMALLEST:
        raise ValueError(f"pictures are {shape[1]} x {shape[2]}: give at least {SMALLEST} x {SMALLEST}")
    x = pictures.permute(0, 3, 1, 2).float().mul_(2 / 255).sub_(1)
    if shape[1:3] != (SIZE, SIZE):
        x = nn.functional.interpolate(x, (SIZE, SIZE), mode="bilinear", antialias=True)
    return x.contiguous(memory_format=torch.channels_last)


def _double(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2, mode="bilinear")


def _grid(size: int) -> Tensor:
    """(size * size, 3): column and row of each cell's middle, -1 to 1, and the square of its distance from 0."""
    steps = (torch.arange(size) + 0.5) / size * 2 - 1
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([columns, rows, columns**2 + rows**2], dim=2).reshape(-1, 3)
