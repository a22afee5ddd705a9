"""Two machines on one: network namespaces with a cable between them that delays, loses and reorders, and can be cut.

The cable is a TUN device in each namespace and a thread that carries packets from one to the other, so it needs no
`tc netem`. It needs root: `Cable.possible()` says why not.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import os
import random
import selectors
import struct
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ADDRESSES = ("10.77.0.1", "10.77.0.2")
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI, _CLONE_NEWNET = 0x400454CA, 0x0001, 0x1000, 0x40000000
_DEVICE = "cable"
_LARGEST = 65536


@dataclass
class Weather:
    """What happens to packets now. delay, jitter: s (jitter reorders); loss, doubled: share of packets."""

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    doubled: float = 0.0


class Cable:
    """Two namespaces, `names`, whose addresses are `ADDRESSES`. Use it as a context.

    weather: may be changed at any time. carried, lost: packets so far.
    """

    def __init__(self, name: str, weather: Weather | None = None, seed: int = 0) -> None:
        self.names = (f"{name}-a", f"{name}-b")
        self.weather = weather or Weather()
        self.carried = self.lost = 0
        self._random = random.Random(seed)
        self._ends: list[int] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="cable", daemon=True)

    @staticmethod
    def possible() -> str:
        """Why there can be no cable here; an empty text where there can."""
        if os.geteuid() != 0:
            return "network namespaces need root"
        if not Path("/dev/net/tun").exists():
            return "there is no /dev/net/tun"
        name = f"probe-{os.getpid()}"
        try:
            made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return "there is no `ip` (iproute2)"
        if made.returncode:
            return made.stderr.strip()
        try:
            os.close(_open_tun(name))
        except OSError as error:
            return f"no TUN device can be made: {error}"
        finally:
            _ip("netns", "delete", name)
        return ""

    def __enter__(self) -> Cable:
        try:
            for name, address, other in zip(self.names, ADDRESSES, reversed(ADDRESSES), strict=True):
                _ip("netns", "add", name)
                self._ends.append(_open_tun(name))
                _ip("-n", name, "address", "add", address, "peer", other, "dev", _DEVICE)
                _ip("-n", name, "link", "set", "lo", "up")
                _ip("-n", name, "link", "set", _DEVICE, "up")
            self._thread.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the namespaces."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        for end in self._ends:
            os.close(end)
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)

    def command(self, side: int, words: Sequence[str]) -> list[str]:
        """The command line that runs `words` on side 0 or 1, as on a machine of its own: shared memory is apart too."""
        apart = 'mount -t tmpfs -o size=1g tmpfs /dev/shm && exec "$@"'
        return ["ip", "netns", "exec", self.names[side], "sh", "-c", apart, "sh", *words]

    def cut(self) -> None:
        """Pull the plug on one side."""
        _ip("-n", self.names[0], "link", "set", _DEVICE, "down")

    def mend(self) -> None:
        """Plug it in again."""
        _ip("-n", self.names[0], "link", "set", _DEVICE, "up")

    def _carry(self) -> None:
        """Read packets on both ends, hold them as long as the weather says, write them on the other one."""
        selector = selectors.DefaultSelector()
        for side, end in enumerate(self._ends):
            os.set_blocking(end, False)
            selector.register(end, selectors.EVENT_READ, self._ends[1 - side])
        held: list[tuple[float, int, int, bytes]] = []
        while not self._stopped.is_set():
            wait = 0.05 if not held else max(0.0, min(held[0][0] - time.monotonic(), 0.05))
            for key, _ in selector.select(wait):
                self._take(key.fd, key.data, held)
            now = time.monotonic()
            while held and held[0][0] <= now:
                _, _, end, packet = heapq.heappop(held)
                _write(end, packet)

    def _take(self, end: int, other: int, held: list[tuple[float, int, int, bytes]]) -> None:
        """Everything that waits on one end."""
        weather, draw = self.weather, self._random.random
        while True:
            try:
                packet = os.read(end, _LARGEST)
            except OSError:  # nothing waits, or the cable is cut here
                return
            if draw() < weather.loss:
                self.lost += 1
                continue
            for _ in range(1 + (draw() < weather.doubled)):
                self.carried += 1
                due = time.monotonic() + weather.delay + weather.jitter * draw()
                heapq.heappush(held, (due, self.carried, other, packet))


def _write(end: int, packet: bytes) -> None:
    try:
        os.write(end, packet)
    except OSError:  # the other end is unplugged: the packet is lost, as on a real cable
        return


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _open_tun(namespace: str) -> int:
    """A TUN device in a namespace. The thread that enters it ends with that."""
    result: list[int | OSError] = []

    def enter_and_open() -> None:
        try:
            with Path(f"/run/netns/{namespace}").open() as place:
                if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            end = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
            fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", _DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
            result.append(end)
        except OSError as error:
            result.append(error)

    thread = threading.Thread(target=enter_and_open)
    thread.start()
    thread.join()
    [opened] = result
    if isinstance(opened, OSError):
        raise opened
    return opened
