"""Stands in for tf2_ros, which is not on PyPI: crisp_py imports it, and uses it with `use_tf_pose` alone."""

from geometry_msgs.msg import TransformStamped

__all__ = ["TransformStamped"]
