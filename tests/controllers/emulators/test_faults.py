"""Commands lost, late and overtaken on their way."""

import numpy as np
import pytest

from controllers.emulators import wire
from controllers.emulators.faults import Link
from controllers.exceptions import ControllersError


def command(number):
    made = np.zeros(1, wire.COMMAND)
    made["message_id"] = number
    return made[0]


def carried(link, count):
    arrived = [link.carry(command(number)) for number in range(count)]
    return [None if one is None else int(one["message_id"]) for one in arrived]


def test_nothing_happens_to_commands_by_themselves():
    assert carried(Link(), 5) == [0, 1, 2, 3, 4]


def test_a_burst_is_lost_once():
    link = Link()
    link.set(burst=2)
    assert carried(link, 4) == [None, None, 2, 3]


def test_a_share_is_lost_and_the_same_seed_loses_the_same():
    first, second = carried(Link(3, drop=0.3), 1000), carried(Link(3, drop=0.3), 1000)
    assert first == second
    assert 0.25 < first.count(None) / 1000 < 0.35


def test_a_delay_makes_each_command_late():
    link = Link(delay=2)
    assert carried(link, 5) == [None, None, 0, 1, 2]
    link.set(delay=0)
    assert int(link.carry(command(5))["message_id"]) == 5
    assert int(link.carry(command(6))["message_id"]) == 6


def test_an_overtaken_command_counts_as_missing_and_the_newer_arrives():
    assert carried(Link(reorder=1.0), 4) == [None, 1, None, 3]


@pytest.mark.parametrize("values", [{"drop": 1.5}, {"reorder": -0.1}, {"delay": -1}])
def test_what_no_link_can_do_is_refused_and_changes_nothing(values):
    link = Link()
    with pytest.raises(ControllersError, match="give"):
        link.set(**values)
    assert (link.drop, link.reorder, link.delay) == (0.0, 0.0, 0)
    with pytest.raises(ControllersError):
        Link(**values)
