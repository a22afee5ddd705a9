"""The arm node as crisp_py's client knows a robot: the topics, services and actions of crisp_controllers.

In real time only: that client keeps the wall clock. Nothing of it passes by the arm node's mux or the safety filter.
"""

from robot_rl.nodes.crisp.server import CrispServer
from robot_rl.nodes.crisp.services import CrispServices

__all__ = ["CrispServer", "CrispServices"]
