import numpy as np
import pytest

from controllers.arms.franka import health, shared
from controllers.arms.franka.config import FrankaConfig
from controllers.arms.franka.shared import Memory
from controllers.tick import LATCHED


def report(memory, gone="", lockstep=False):
    return health.report(memory, gone, FrankaConfig("127.0.0.1"), lockstep=lockstep, hand=None)


@pytest.fixture
def memory():
    made = Memory()
    made.counters["least_success"] = 1.0
    yield made
    made.close()


def state(memory, **values):
    row = np.zeros(1, shared.STATE)
    row["phase"], row["mode"], row["success_rate"] = shared.CONTROLLING, 2, 1.0
    for name, value in values.items():
        row[name] = value
    memory.state.write(row)


def test_quantiles_are_read_off_a_histogram_to_its_bins():
    histogram = np.zeros(shared.BINS, int)
    histogram[99], histogram[500] = 990, 10
    assert health.quantile(histogram, 0.5) == pytest.approx(1.0)
    assert health.quantile(histogram, 0.995) == pytest.approx(5.01)
    assert np.isnan(health.quantile(np.zeros(shared.BINS, int), 0.5))


def test_all_well(memory):
    state(memory)
    memory.counters["period"][0, 99] = 1000
    memory.counters["duration"][0, 19] = 1000
    told = report(memory)
    assert (told.level, told.message) == ("ok", "hold")
    assert told.values["period p99 (ms)"] == 1.0
    assert told.values["duration p50 (ms)"] == 0.2
    assert told.values["driver"] == "controlling"
    assert told.values["robot"] == "move"


def test_what_deserves_a_look_is_a_warning_in_words(memory):
    state(memory, success_rate=0.8)
    memory.counters["duration"][0, 70] = 1000
    memory.counters["scheduling"] = b"no real-time priority 80: raise the user's rtprio limit"
    told = report(memory)
    assert told.level == "warn"
    for said in ("no real-time priority", "takes more than 0.5 ms", "commands get lost"):
        assert said in told.message
    assert report(memory, lockstep=True).level == "ok"


def test_a_latch_and_a_driver_that_is_gone_are_errors(memory):
    state(memory, safety=LATCHED, reason=b"joint reflex")
    assert (report(memory).level, report(memory).message) == ("error", "latched: joint reflex")
    told = report(memory, gone="the driver process was ended by SIGKILL")
    assert told.values["driver"] == "the driver process was ended by SIGKILL"
    assert told.level == "error"
