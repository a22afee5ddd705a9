"""Real processes with real drivers: a recording, a video file. A process that hangs is one that is stopped."""

import dataclasses
import itertools
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from controllers.cameras import CameraConfig, SupervisedCamera
from controllers.cameras.watchdog import GRACE, REAP
from controllers.exceptions import CameraError

PATIENCE = 20.0
"""s that a start may take on a machine that does something else."""


@pytest.fixture
def config(video):
    return CameraConfig(driver="uvc", device=str(video), width=160, height=120, rate=50, size=(64, 48), stale_after=1.0)


@pytest.fixture
def watched(config):
    """A factory of open cameras with short pauses: watched(config=..., **arguments); `said` is what went wrong."""
    cameras = []

    def start(config=config, **arguments):
        said = []
        camera = SupervisedCamera("wrist", config, backoff=0.05, say=said.append, **arguments)
        camera.said = said
        cameras.append(camera)
        camera.open()
        return camera

    yield start
    for camera in cameras:
        camera.close()


def ended(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def test_pictures_cross_the_processes(watched):
    camera = watched()
    frames = [camera.read() for _ in range(10)]
    assert camera.pid != os.getpid()
    for before, after in itertools.pairwise(frames):
        assert after.sequence > before.sequence and after.stamp > before.stamp
    assert frames[0].image.shape == (48, 64, 3)
    assert frames[0].image[24, 10, 0] > 200 and frames[0].image[24, 10, 2] < 60  # red on the left
    health = camera.health()
    assert (health.level, health.values["restarts"], health.values["missed"]) == ("ok", 0, 0)
    assert health.values["latency"] == 0 and 0 <= health.values["staleness"] < 1.0


def test_depth_and_lost_pictures_of_a_recording(watched, recording):
    camera = watched(CameraConfig(device=str(recording), width=160, height=120, depth=True, stale_after=1.0))
    assert camera.read().depth.shape == (120, 160)
    until(lambda: camera.read() and camera.health().values["missed"] >= 3)  # those that the recording lacks
    assert camera.facts.intrinsics.fx == 120.0


def test_a_poll_ends_without_a_picture_too(watched):
    camera = watched()
    os.kill(camera.pid, signal.SIGSTOP)
    camera.poll(0.1)
    began = time.monotonic()
    assert camera.poll(0.1) is None
    assert time.monotonic() - began < 0.4
    os.kill(camera.pid, signal.SIGCONT)


def test_a_read_that_hangs_is_killed_and_started_again(watched):
    camera = watched()
    hung = camera.pid
    os.kill(hung, signal.SIGSTOP)
    before = camera.read()
    until(lambda: (frame := camera.poll(0.1)) is not None and frame.stamp > before.stamp + 1.0)
    assert camera.pid != hung and ended(hung)
    assert camera.restarts == 1
    assert (
        camera.said[0].startswith("camera wrist: no new picture for 1") and "started again in 0.05 s" in camera.said[0]
    )


def test_a_process_that_the_kernel_does_not_end_is_left_behind(watched, monkeypatch):
    camera = watched()
    stuck = psutil.Process(camera.pid)
    with monkeypatch.context() as patch:
        patch.setattr(subprocess.Popen, "kill", lambda self: None)  # as in a system call that does not return
        stuck.suspend()
        until(lambda: camera.poll(0.1) is not None and camera.restarts == 1)
    assert f"and its process {stuck.pid} cannot be killed; unplug the camera" in camera.said[0]
    assert camera.pid != stuck.pid and stuck.is_running()
    stuck.kill()
    stuck.wait(PATIENCE)


def test_a_crash_is_told_and_mended(watched):
    camera = watched()
    os.kill(camera.pid, signal.SIGSEGV)
    until(lambda: camera.poll(0.1) is not None and camera.restarts == 1)
    assert camera.said == ["camera wrist: its process was ended by signal 11; it is started again in 0.05 s."]
    assert camera.health().values["restarts"] == 1


def test_an_unplugged_camera_is_dead_after_so_many_starts(watched, config, video, tmp_path):
    cable = tmp_path / "camera.avi"
    cable.write_bytes(video.read_bytes())
    camera = watched(dataclasses.replace(config, device=str(cable), restarts=3))
    cable.unlink()
    os.kill(camera.pid, signal.SIGKILL)
    with pytest.raises(CameraError, match=r"camera wrist is dead after 3 failures in a row; the last: .*there is no "):
        until(lambda: camera.read() is None)
    assert len(camera.said) == 3 and camera.restarts == 2
    assert camera.health().level == "error" and "is dead" in camera.health().message
    with pytest.raises(CameraError, match="is dead"):
        camera.poll(0.0)


def test_failures_are_forgiven_after_a_while(watched, config, monkeypatch):
    monkeypatch.setattr("controllers.cameras.watchdog.STEADY", 0.2)
    camera = watched(dataclasses.replace(config, restarts=2))
    for failure in (1, 2):
        os.kill(camera.pid, signal.SIGKILL)
        until(lambda failure=failure: camera.poll(0.1) is not None and camera.restarts == failure)
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            camera.poll(0.1)


def test_a_parent_that_was_away_is_no_hang(watched):
    camera = watched()
    time.sleep(1.5)
    assert camera.read().arrival > time.monotonic() - 1.0
    assert camera.restarts == 0 and not camera.said


def test_a_stop_that_hangs_does_not_hang_the_parent(watched):
    camera = watched()
    pid = camera.pid
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    camera.close()
    assert time.monotonic() - began < GRACE + REAP + 0.5
    assert ended(pid)


def test_a_camera_that_cannot_start_says_why_at_once(watched, config):
    with pytest.raises(CameraError, match=r"^camera wrist: there is no /dev/video99; connected: "):
        watched(dataclasses.replace(config, device="/dev/video99"))
    with pytest.raises(CameraError, match="delivers 160 x 120, not the 320 x 240"):
        watched(dataclasses.replace(config, width=320, height=240))


def test_a_camera_that_never_gives_a_first_picture_is_given_up(watched):
    with pytest.raises(CameraError, match=r"no picture within 0.01 s of its start; is it in use\?"):
        watched(start=0.01)


def test_nothing_outlives_a_killed_parent_not_even_a_hung_driver(config):
    program = (
        "import sys, time\n"
        "from controllers.cameras import CameraConfig, SupervisedCamera\n"
        f"camera = SupervisedCamera('wrist', {config!r})\n"
        "camera.open()\n"
        "print(camera.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    os.kill(child, signal.SIGSTOP)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: ended(child))
