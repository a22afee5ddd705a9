import fcntl
import os
import socket
import subprocess
import sys
import time
import uuid

import pytest

from robot_rl.exceptions import GraphError, NetworkGone
from robot_rl.nodes import environment
from robot_rl.nodes.environment import (
    PROFILE_NETWORK,
    Domain,
    check_network,
    check_peers,
    check_shared_memory,
    clean_shared_memory,
    common_domain,
    for_interpreter,
    network_environment,
    ros_environment,
    wait_for_network,
)
from robot_rl.xla import ONE_THREAD


@pytest.fixture(autouse=True)
def own_locks(tmp_path, monkeypatch):
    """Locks of this test alone."""
    monkeypatch.setattr(environment.tempfile, "gettempdir", lambda: str(tmp_path))


def test_what_ros_from_pip_needs_is_set_and_what_the_user_set_stays():
    made = ros_environment({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp", "PATH": "/bin"}, domain=7)
    assert made["RMW_IMPLEMENTATION"] == "rmw_cyclonedds_cpp"
    assert made["AMENT_PREFIX_PATH"] == sys.prefix
    assert made["ROS_DOMAIN_ID"] == "7"
    assert made["PATH"] == "/bin"
    assert "fastdds.xml" in made["FASTRTPS_DEFAULT_PROFILES_FILE"]


def test_another_interpreter_finds_its_own_libraries():
    parent = {"_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1"}
    assert for_interpreter(parent, "/usr/bin/python3") == {}
    assert for_interpreter(parent, sys.executable) == parent


def test_two_runs_get_two_domains(tmp_path):
    with Domain(tmp_path / "a") as first, Domain(tmp_path / "b") as second:
        assert first.number != second.number
        number = first.number
    with Domain(tmp_path / "c") as again:
        assert again.number == number


def test_the_users_domain_is_respected_and_refused_while_another_run_has_it(tmp_path):
    with Domain(tmp_path / "first", "42") as domain:
        assert domain.number == 42
        with pytest.raises(GraphError, match=r"domain 42 is in use by run .*first.*ROS_DOMAIN_ID"):
            Domain(tmp_path / "second", "42")
    Domain(tmp_path / "third", "42").close()


@pytest.mark.parametrize("wanted", ["", "many", "-1", "233"])
def test_a_domain_that_is_none_is_refused(tmp_path, wanted):
    with pytest.raises(GraphError, match="ROS_DOMAIN_ID is"):
        Domain(tmp_path, wanted)


def test_a_domain_whose_ports_are_open_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "_domains_with_sockets", lambda: {1, 2})
    with Domain(tmp_path) as domain:
        assert domain.number == 3


def test_the_lock_dies_with_its_process(tmp_path):
    code = (
        "import sys, tempfile; from pathlib import Path; tempfile.tempdir = sys.argv[1];"
        "from robot_rl.nodes.environment import Domain; d = Domain(Path('x'), '50'); import os; os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    Domain(tmp_path, "50").close()


def test_only_abandoned_shared_memory_goes(tmp_path):
    past = time.time() - 60
    for name in ("fastrtps_dead", "fastrtps_alive"):
        (tmp_path / name).touch()
        (tmp_path / f"{name}_el").touch()
        os.utime(tmp_path / f"{name}_el", (past, past))
    (tmp_path / "fastrtps_new_el").touch()
    for name in ("fastrtps_port7900", "sem.fastrtps_port7900_mutex", "fastrtps_port8150"):
        (tmp_path / name).touch()
    os.utime(tmp_path / "fastrtps_port7900", (past, past))
    with (tmp_path / "fastrtps_alive_el").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert clean_shared_memory(tmp_path) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fastrtps_alive",
        "fastrtps_alive_el",
        "fastrtps_new_el",
        "fastrtps_port8150",
    ]


def test_too_little_shared_memory_is_said_with_its_mend(monkeypatch):
    class State:
        f_bavail, f_frsize = 64, 1_000_000

    monkeypatch.setattr(environment.os, "statvfs", lambda folder: State)
    with pytest.raises(GraphError, match=r"/dev/shm has 64 MB free and the run's 5 nodes need 175.*--shm-size"):
        check_shared_memory(5, ros_environment({}))
    check_shared_memory(1, ros_environment({}))
    check_shared_memory(5, ros_environment({"FASTRTPS_DEFAULT_PROFILES_FILE": "/my/own.xml"}))


def test_machines_of_one_run_choose_the_same_domain_and_the_profile_of_a_network():
    one, other = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
    found = network_environment({}, ("10.0.0.1", "lab"), one)
    assert found["ROS_STATIC_PEERS"] == "10.0.0.1;lab"
    assert found["FASTRTPS_DEFAULT_PROFILES_FILE"] == str(PROFILE_NETWORK)
    assert found["ROS_DOMAIN_ID"] == str(common_domain(one))
    assert common_domain(one) != common_domain(other)
    assert network_environment({"ROS_DOMAIN_ID": "7"}, ("lab",), one)["ROS_DOMAIN_ID"] == "7"
    assert network_environment({}, ("lab",), one, domain=8)["ROS_DOMAIN_ID"] == "8"
    assert network_environment({"A": "b"}, (), one) == ros_environment({"A": "b"})


def test_a_peer_that_nobody_knows_is_named():
    check_peers(("127.0.0.1", "localhost"))
    with pytest.raises(
        GraphError, match=r"the peer 'no-such-machine.invalid' cannot be found .*; give its IPv4 address"
    ):
        check_peers(("no-such-machine.invalid",))


def test_the_network_is_waited_for_with_one_sentence(monkeypatch, capsys):
    ways = iter(["", "", "127.0.0.1"])
    monkeypatch.setattr(environment, "_source", lambda peer: next(ways))
    wait_for_network(("10.0.0.1",), every=0.0)
    assert capsys.readouterr().err == "waiting for the network: there is no way to 10.0.0.1 yet\n"
    wait_for_network(())


def test_a_middleware_that_started_without_its_network_has_to_start_again(monkeypatch):
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    with pytest.raises(NetworkGone, match="the network to 127.0.0.1 went away while the node started"):
        check_network(("127.0.0.1",))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as spoken:
        spoken.bind(("127.0.0.1", 0))
        check_network(("127.0.0.1",))
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp")
    check_network(("127.0.0.1",))


def test_nodes_keep_xla_to_one_thread_beside_what_the_user_asks_of_it():
    assert ros_environment({})["XLA_FLAGS"] == ONE_THREAD
    assert ros_environment({"XLA_FLAGS": "--xla_x=1"})["XLA_FLAGS"] == f"--xla_x=1 {ONE_THREAD}"
    asked = "--xla_cpu_multi_thread_eigen=true"
    assert ros_environment({"XLA_FLAGS": asked})["XLA_FLAGS"] == asked
