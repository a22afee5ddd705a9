"""Names that nodes share, besides the cell's own topics (`controllers.arms`)."""

from __future__ import annotations

EXPERIENCE = "experience"
"""std_msgs/UInt8MultiArray: a `robot_rl.data.parcel.Parcel`; at `layout.data_offset` the CDR bytes of one record."""
ACKNOWLEDGED = "experience/ack"
"""diagnostic_msgs/KeyValue: an actor's name, and a `robot_rl.data.parcel.Answer` to it as JSON."""
WEIGHTS = "learner/weights"
"""std_msgs/UInt8MultiArray, latched: a policy as safetensors, its version inside; `layout.dim[0].label` is the run."""
SHARED = (EXPERIENCE, ACKNOWLEDGED, WEIGHTS)
"""What all actors of a run share, in whatever namespace each of them is."""
LABEL_TOPIC = "label"
"""sensor_msgs/JointState: what the reward node says of a tick, under the same stamp."""
REVERSED = (LABEL_TOPIC, *SHARED)
"""What the run that learns to undo another has of its own, at the same arm."""
CLOCK = "/clock"
"""In lockstep the time of one twin: absolute, so that an actor in a namespace needs it put there."""
RESET_SERVICE = "reset"
"""std_srvs/Trigger: start an episode with the seed in parameter `seed` of the node `reset`."""
SEED = "seed"
TELEOP = "teleop/command"
"""sensor_msgs/Joy: a person's action as axes, each in [-1, 1]; as buttons whether it takes over, and whether the
device is gone."""
OPERATOR = "operator"
"""std_srvs/Trigger for each of `robot_rl.operator.COMMANDS`, below this name, in the actor's namespace."""
OPERATOR_STATE = "operator/state"
"""diagnostic_msgs/DiagnosticStatus, latched: the `robot_rl.operator.OperatorState` as values."""
