"""Errors of the hardware side. Each message names the thing, its value and the mend."""


class ControllersError(Exception):
    """Base of every error that `controllers` raises on purpose."""


class SceneError(ControllersError):
    """A scene does not compile, or lacks a frame that its task names."""


class RenderingError(ControllersError):
    """No off-screen rendering (EGL) on this machine."""


class CommandRejected(ControllersError):
    """A target broke a rule of the safety filter; the reference did not move."""


class ArmLatched(ControllersError):
    """The arm is latched after a stop or a fault, until a person calls `recover`."""


class CellTimeout(ControllersError):
    """A part of the cell did not deliver its data in time; the message names the topic."""


class ResetFailed(ControllersError):
    """No attempt brought the cell to the start of an episode; the arm is parked, and a person must look."""


class SettingsError(ControllersError):
    """An unknown key, or a value that a setting cannot have; the message names the file, the key and the choices."""


class CameraError(ControllersError):
    """A camera cannot be opened or set, or gives no pictures; the message says which and what to mend."""
