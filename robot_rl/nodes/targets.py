"""The mux in front of the arm: one topic per owner, and only the present owner's targets get through."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState

from controllers.arms.ros import target_topics
from controllers.arms.ros_io import TARGET, Feed, Listener, nanoseconds
from controllers.interface import OWNERS


@dataclass(frozen=True)
class Request:
    """A target as it arrived: `width` in m, None keeps the gripper; `stamp` in ns, 0 where the sender gave none."""

    pose: PoseStamped
    width: float | None
    stamp: int


class Targets:
    """Targets of all owners. gripper: whether a target of ours consists of a pose and a gripper message.

    refused: how many messages were dropped, by rule. contested: owners with two publishers on one topic.
    """

    def __init__(self, listener: Listener, *, gripper: bool) -> None:
        self._listener, self._gripper = listener, gripper
        self._poses: dict[str, PoseStamped] = {}
        self._widths: dict[str, JointState] = {}
        self._feeds: list[tuple[str, dict[str, Any], Feed[Any]]] = []
        for owner in OWNERS:
            pose, width = target_topics(owner)
            self._feeds.append((owner, self._poses, listener.subscribe(PoseStamped, pose, TARGET)))
            if gripper:
                self._feeds.append((owner, self._widths, listener.subscribe(JointState, width, TARGET)))
        self._all = [feed for _, _, feed in self._feeds]
        self.refused: Counter[str] = Counter()
        self.contested: frozenset[str] = frozenset()

    def wait(self, timeout: float) -> None:
        """Until something arrives, or `timeout` s."""
        self._listener.wait(self._all, timeout)

    def look_for_rivals(self) -> frozenset[str]:
        """Find owners with two publishers; their targets are refused until one of the two is gone."""
        self.contested = frozenset(owner for owner, _, feed in self._feeds if feed.contested)
        return self.contested

    def forget(self) -> None:
        """What has been collected and not yet taken is of an earlier holder, or was said to a latched arm."""
        self._poses.clear()
        self._widths.clear()

    def collect(self, holder: str) -> None:
        """Take what has arrived; only `holder`'s is kept."""
        for owner, kept, feed in self._feeds:
            while (message := feed.take()) is not None:
                if owner != holder:
                    self.refused[f"{owner} does not hold the arm"] += 1
                elif owner in self.contested:
                    self.refused[f"two publishers on {feed.topic}"] += 1
                else:
                    kept[owner] = message

    def take(self, holder: str, due: int | None = None) -> Request | None:
        """The holder's newest target, once. due: only one for the tick at that stamp, ns, or without a stamp."""
        pose = self._poses.get(holder)
        if pose is None:
            return None
        stamp = nanoseconds(pose.header.stamp)
        if due is not None and stamp not in (0, due):
            if stamp < due:
                del self._poses[holder]
            return None
        width = self._widths.get(holder)
        paired = width is not None and nanoseconds(width.header.stamp) == stamp
        if self._gripper and not paired and due is not None and holder != "external":
            return None
        del self._poses[holder]
        if width is None or not paired:
            return Request(pose, None, stamp)
        del self._widths[holder]
        return Request(pose, float(width.position[0]) if width.position else None, stamp)
