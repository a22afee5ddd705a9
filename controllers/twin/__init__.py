"""The simulated cell: a MuJoCo twin of arm, hand, scene and cameras behind the interface of a real one."""

from controllers.twin.cell import TwinCell

__all__ = ["TwinCell"]
