"""The environment that ROS 2 from pip needs, and the domain of a run. No rclpy here: it reads these at import."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import tempfile
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from robot_rl.exceptions import GraphError, NetworkGone
from robot_rl.xla import with_one_thread

PROFILE = Path(__file__).with_name("fastdds.xml")
PROFILE_SHM_ONLY = Path(__file__).with_name("fastdds_shm_only.xml")
PROFILE_NETWORK = Path(__file__).with_name("fastdds_network.xml")
DOMAINS = range(1, 102)
"""Domains whose ports lie below Linux's ephemeral ones. 0 is everybody's default, so runs keep off it."""

DISCARD = 9
"""A port that nothing is sent to: only the way there is asked for."""

SETTLED = 2.0
"""Age, s, from which an unlocked segment is taken for abandoned."""

SEGMENT = 35.0
"""Shared memory of one process with our profile, MB."""

_BOOTSTRAPPED = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"


def ros_environment(base: Mapping[str, str], *, domain: int | None = None) -> dict[str, str]:
    """`base` with what rclpy from pip needs; what the user or a sourced ROS has set stays.

    domain: sets ROS_DOMAIN_ID.
    """
    defaults = {
        "AMENT_PREFIX_PATH": sys.prefix,
        "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp",
        "ROS_DISTRO": "jazzy",
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(PROFILE),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }
    environment = defaults | dict(base)
    environment["XLA_FLAGS"] = with_one_thread(environment.get("XLA_FLAGS", ""))
    if domain is not None:
        environment["ROS_DOMAIN_ID"] = str(domain)
    return environment


def network_environment(
    base: Mapping[str, str], peers: Sequence[str], identity: str, *, domain: int | None = None
) -> dict[str, str]:
    """As `ros_environment`, for a run that other machines take part in where there are `peers`.

    identity: of the run, from which all of its machines choose the same domain.
    """
    if not peers:
        return ros_environment(base, domain=domain)
    shared = {"ROS_DOMAIN_ID": str(common_domain(identity)), "ROS_STATIC_PEERS": ";".join(peers)}
    return ros_environment(
        shared | {"FASTRTPS_DEFAULT_PROFILES_FILE": str(PROFILE_NETWORK)} | dict(base), domain=domain
    )


def common_domain(identity: str) -> int:
    """The ROS domain of a run on several machines: the same on each of them."""
    return DOMAINS[zlib.crc32(identity.encode()) % len(DOMAINS)]


def check_peers(peers: Sequence[str]) -> None:
    """Raise `GraphError` for a name that nobody knows: the middleware would only say that it cannot start."""
    for peer in peers:
        try:
            socket.getaddrinfo(peer, None, socket.AF_INET)
        except OSError as error:
            raise GraphError(f"the peer {peer!r} cannot be found ({error.strerror}); give its IPv4 address.") from error


def wait_for_network(peers: Sequence[str], every: float = 1.0) -> None:
    """Wait until there is a way to each of the peers; says so once, on standard error, where there is none yet.

    The middleware tells others the addresses that it has when it starts: without its cable it would never be found.
    """
    told = False
    while missing := [peer for peer in peers if not _source(peer)]:
        if not told:
            print(f"waiting for the network: there is no way to {', '.join(missing)} yet", file=sys.stderr, flush=True)
            told = True
        time.sleep(every)


def check_network(peers: Sequence[str]) -> None:
    """After Fast DDS has started: raise `NetworkGone` where it has no socket at the address of the way to a peer.

    It looks for addresses when it starts and never again, so a cable pulled in that moment would be pulled for ever.
    """
    if os.environ.get("RMW_IMPLEMENTATION") != "rmw_fastrtps_cpp":
        return
    spoken = _addresses_of_sockets()
    for peer in peers:
        if _source(peer) not in spoken:
            raise NetworkGone(f"the network to {peer} went away while the node started; it starts again.")


def _source(peer: str) -> str:
    """The address from which this machine sends what is for `peer`, empty where there is no way; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((peer, DISCARD))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def _addresses_of_sockets() -> set[str]:
    """The local addresses of this process's UDP sockets."""
    inodes = {link.readlink().name for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
    found = set()
    for line in Path("/proc/self/net/udp").read_text().splitlines()[1:]:
        words = line.split()
        if f"socket:[{words[9]}]" in inodes:
            found.add(socket.inet_ntoa(int(words[1].split(":")[0], 16).to_bytes(4, sys.byteorder)))
    return found


def for_interpreter(environment: Mapping[str, str], executable: str) -> dict[str, str]:
    """`environment` for a child: another interpreter has to find its own ROS libraries again."""
    child = dict(environment)
    if executable != sys.executable:
        child.pop(_BOOTSTRAPPED, None)
    return child


class Domain:
    """A ROS domain of a run's own, held until `close` by a lock that dies with the process."""

    def __init__(self, run: Path, wanted: str | None = None) -> None:
        """wanted: the user's ROS_DOMAIN_ID. Raises `GraphError` where it is no domain, or another run's."""
        self._run = run
        if wanted is None:
            self.number, self._lock = self._first_free()
            return
        if not wanted.isdigit() or int(wanted) > 232:
            raise GraphError(f"ROS_DOMAIN_ID is {wanted!r}; set it to a number from 0 to 101, or unset it.")
        self.number = int(wanted)
        lock = self._try(self.number)
        if lock is None:
            holder = _lock_file(self.number).read_text() or "another run"
            raise GraphError(
                f"ROS domain {self.number} is in use by {holder}; set ROS_DOMAIN_ID to another, or unset it."
            )
        self._lock = lock

    def close(self) -> None:
        """Give the domain free."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Domain:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _first_free(self) -> tuple[int, int]:
        busy = _domains_with_sockets()
        for number in DOMAINS:
            if number not in busy and (lock := self._try(number)) is not None:
                return number, lock
        raise GraphError("every ROS domain from 1 to 101 is in use; end a run, or set ROS_DOMAIN_ID.")

    def _try(self, number: int) -> int | None:
        """The descriptor of the domain's lock, or None where another process has it."""
        file = _lock_file(number)
        try:
            lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except PermissionError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        os.truncate(lock, 0)
        os.write(lock, f"run {self._run} (process {os.getpid()})".encode())
        return lock


def _lock_file(number: int) -> Path:
    return Path(tempfile.gettempdir()) / f"robot_rl_domain_{number}.lock"


def _domains_with_sockets() -> set[int]:
    """Domains in which a process on this machine has opened DDS ports (7400 + 250 x domain and up)."""
    found = set()
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        port = int(line.split()[1].split(":")[1], 16)
        if 7400 <= port < 7400 + 250 * 102:
            found.add((port - 7400) // 250)
    return found


def check_shared_memory(nodes: int, environment: Mapping[str, str], folder: Path = Path("/dev/shm")) -> None:
    """Raise `GraphError` where `nodes` processes with our profile find too little shared memory: in a container."""
    if environment.get("FASTRTPS_DEFAULT_PROFILES_FILE") not in (
        str(PROFILE),
        str(PROFILE_SHM_ONLY),
        str(PROFILE_NETWORK),
    ):
        return
    state = os.statvfs(folder)
    free, needed = state.f_bavail * state.f_frsize / 1e6, nodes * SEGMENT
    if free < needed:
        raise GraphError(
            f"{folder} has {free:.0f} MB free and the run's {nodes} nodes need {needed:.0f}; "
            "start the container with --shm-size=1g, or free some."
        )


def clean_shared_memory(folder: Path = Path("/dev/shm")) -> int:
    """Remove Fast DDS segments whose process is gone, as `fastdds shm clean` does; returns how many.

    A segment has a lock file beside it (`_el`, of a port that several read `_sl`) that its owners hold while they
    live; a port without one has no reader.
    """
    removed = sum(_remove_unless_locked(lock_file) for lock_file in folder.glob("fastrtps_*_[es]l"))
    for port in folder.glob("fastrtps_port*"):
        guarded = any(port.with_name(f"{port.name}{end}").exists() for end in ("_el", "_sl"))
        if port.name.removeprefix("fastrtps_port").isdigit() and not guarded and _settled(port):
            removed += _remove(port)
            _remove(port.with_name(f"sem.{port.name}_mutex"))
    return removed


def _settled(path: Path) -> bool:
    """Whether a file is no longer being made."""
    try:
        return time.time() - path.stat().st_mtime > SETTLED
    except FileNotFoundError:
        return False


def _remove_unless_locked(lock_file: Path) -> int:
    """Remove a lock file and its segment where nobody holds the lock; one just made may not be held yet."""
    if not _settled(lock_file):
        return 0
    try:
        lock = os.open(lock_file, os.O_RDWR)
    except (FileNotFoundError, PermissionError):
        return 0
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        segment = lock_file.with_name(lock_file.name[: -len("_el")])
        for path in (segment, segment.with_name(f"sem.{segment.name}_mutex"), lock_file):
            _remove(path)
    except BlockingIOError:
        return 0
    finally:
        os.close(lock)
    return 1


def _remove(path: Path) -> int:
    try:
        path.unlink()
    except (FileNotFoundError, PermissionError):
        return 0
    return 1
