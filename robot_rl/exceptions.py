"""Errors that a user can mend. The command line prints the sentence and exits with 2, no traceback."""


class RobotRLError(Exception):
    """Base of the errors that `robot_rl` raises on purpose: one sentence naming the thing, the value, the mend."""


class ConfigError(RobotRLError):
    """An unknown name, key or value in a configuration or on the command line."""


class RunFolderError(RobotRLError):
    """A run folder that exists, is missing, or holds something else."""


class DataError(RobotRLError):
    """A file or message that does not decode: wrong schema, size or checksum. Nothing was changed."""


class DiskError(DataError):
    """What has to be written cannot be: no room, or a disk that fails. What was written before is as it was."""


class NetworkGone(RobotRLError):
    """The way to another machine went away while a node started: it has to start again."""


class GraphError(RobotRLError):
    """A node that could not start, died, or did not answer in time."""


class CommissionError(RobotRLError):
    """A step of commissioning that cannot be done now."""


class DeviceGone(RobotRLError):
    """A device that a person moves an arm with was unplugged, or there is none."""
