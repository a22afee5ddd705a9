import os

import pytest


@pytest.fixture(autouse=True)
def ordinary_schedule():
    """libfranka makes whoever connects a real-time thread: no test hands that on to the next, nor to its processes."""
    yield
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
