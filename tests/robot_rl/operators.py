"""PyPI's torchvision does not load beside a CPU build of torch: it declares these operators, which no test calls."""

import subprocess
import sys

import torch

OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
_LOADS = subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, check=False).returncode == 0
if not _LOADS:
    for operator in ("nms", "qnms"):
        OPERATORS.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
