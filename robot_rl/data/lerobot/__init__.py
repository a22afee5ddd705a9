"""LeRobotDataset v3, both ways: `export_lerobot` writes a journal as one, `import_lerobot` makes one a journal."""

from robot_rl.data.lerobot.exporting import export_lerobot
from robot_rl.data.lerobot.importing import import_lerobot

__all__ = ["export_lerobot", "import_lerobot"]
