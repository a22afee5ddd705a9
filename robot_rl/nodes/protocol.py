"""Names that nodes share, besides the cell's own topics (`controllers.arms`)."""

from __future__ import annotations

EXPERIENCE = "experience"
"""std_msgs/UInt8MultiArray: one transition, the CDR bytes of `robot_rl.data.codec`."""
ACKNOWLEDGED = "experience/ack"
"""diagnostic_msgs/KeyValue: an actor's name, and the sequence that the learner wants next from it."""
WEIGHTS = "learner/weights"
"""std_msgs/UInt8MultiArray, latched: a policy as safetensors, its version inside."""
RESET_SERVICE = "reset"
"""std_srvs/Trigger: start an episode with the seed in parameter `seed` of the node `reset`."""
SEED = "seed"
