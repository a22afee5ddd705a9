import os
from importlib.metadata import version
from pathlib import Path

import pytest

QUICK_TO_COMPILE = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
"""Compiling is most of the time of the tests that learn: so it takes a third to half of it. Small networks run as fast;
those of 256 take three times as long (`compiled_as_in_production`)."""

HERE = Path(__file__).parent
SERIAL = (
    "e2e", "controllers/arms", "controllers/cameras", "controllers/emulators", "robot_rl/nodes", "robot_rl/commission",
    "robot_rl/teleop", "robot_rl/test_supervisor.py", "test_machine.py",
)  # fmt: skip
"""Folders and files whose tests look at the clock, start processes or speak over a network: `make test` runs them one
after the other, and the others on every core."""


def pytest_configure(config: pytest.Config) -> None:
    """The ordinary tests' functions are compiled quickly, in pytest's processes too: else bits would differ.

    The long tests', and those chosen in any other way, are compiled as in production. A jaxlib that does not know a
    flag ends the process: these are for the one in constraints.txt.
    """
    tested = f"jaxlib=={version('jaxlib')}" in (HERE.parent / "constraints.txt").read_text().split()
    if "not long" in config.option.markexpr and tested:
        # in front: behind those for one thread, which a process may have, XLA reads no further one
        os.environ["XLA_FLAGS"] = f"{QUICK_TO_COMPILE} {os.environ.get('XLA_FLAGS', '')}".strip()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(item.path.is_relative_to(HERE / place) for place in SERIAL):
            item.add_marker(pytest.mark.serial)


@pytest.fixture
def compiled_as_in_production(monkeypatch):
    """For the processes of a test that does not compare their numbers with those of pytest's own."""
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", "").replace(QUICK_TO_COMPILE, "").strip())


@pytest.fixture(autouse=True)
def ordinary_schedule():
    """libfranka makes whoever connects a real-time thread: no test hands that on to the next, nor to its processes."""
    yield
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
