import dataclasses

import numpy as np
import pytest

from benchmarks.chat_service import Manners, Service
from robot_rl.data.png import encode_png
from robot_rl.exceptions import ConfigError
from robot_rl.rewards.preference.chat import BudgetSpent, ChatModel, Refused
from robot_rl.rewards.preference.configuration import LabelConfig
from tests.robot_rl.rewards.preference import moving


def shown(x):
    return encode_png(moving.picture(np.random.default_rng(0), x))


def model(service, **changes):
    config = LabelConfig(task="right", model="looker", endpoint=service.url, retries=3, timeout=5)
    waits = []
    made = ChatModel(dataclasses.replace(config, **changes), waits.append)
    return made, waits


def test_it_is_asked_with_pictures_and_answers():
    with Service() as service:
        asked, _ = model(service)
        assert asked.ask("The goal is: right\nReply with a single line", [shown(0.1), shown(0.9)]) == "1"
        assert asked.ask("Reply with a single line", [shown(0.9), shown(0.1)]) == "0"
        body = service.requests[0]
    assert (body["temperature"], body["model"]) == (0, "looker")
    assert [part["type"] for part in body["messages"][1]["content"]] == [
        "text",
        "image_url",
        "text",
        "image_url",
        "text",
    ]
    assert (asked.spent.requests, asked.spent.tokens_in, asked.spent.tokens_out) == (2, 2000, 20)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_one_who_is_busy_is_asked_again_after_the_time_it_wants(status):
    with Service(Manners(statuses=[status, status], retry_after="7")) as service:
        asked, waits = model(service)
        assert asked.ask("Reply with a single line", [shown(0.9), shown(0.1)]) == "0"
    assert waits == [7.0, 7.0] and asked.spent.retries == 2


def test_one_who_says_no_time_is_asked_later_and_later_and_given_up():
    with Service(Manners(statuses=[429] * 9, retry_after="soon")) as service:
        asked, waits = model(service)
        with pytest.raises(Refused, match="status 429: .*try later"):
            asked.ask("x")
    assert waits == [1.0, 2.0, 4.0]


def test_a_rate_is_kept():
    with Service() as service:
        asked, waits = model(service, per_minute=30)
        for _ in range(3):
            asked.ask("Image 1 shows 0.1 of the way. Image 2 shows 0.2 of the way.")
    assert len(waits) == 2 and waits[0] == pytest.approx(2, abs=0.3) and waits[1] == pytest.approx(4, abs=0.3)


def test_a_key_that_is_wrong_is_named_and_the_right_one_is_sent(monkeypatch):
    with Service(Manners(key="secret")) as service:
        with pytest.raises(ConfigError, match=r"refuses the key in \$A_KEY .*put the right one there"):
            model(service, key_variable="A_KEY")[0].ask("x")
        monkeypatch.setenv("A_KEY", "secret")
        assert model(service, key_variable="A_KEY")[0].ask("Reply with a single line", [shown(0.1), shown(0.5)]) == "1"


@pytest.mark.parametrize(
    ("manners", "changes", "error", "sentence"),
    [
        (Manners(), {"model": "other"}, ConfigError, "knows no model 'other'"),
        (Manners(largest=1000), {}, ConfigError, "finds the pictures too large; give a smaller --largest than 1024"),
        (Manners(malformed=True), {}, Refused, "is no answer"),
        (Manners(slow=0.5), {"timeout": 0.1, "retries": 1}, Refused, "within 0.1 s; raise --timeout"),
    ],
)
def test_what_goes_wrong_is_one_sentence(manners, changes, error, sentence):
    with Service(manners) as service, pytest.raises(error, match=sentence):
        model(service, **changes)[0].ask("Reply with a single line", [shown(0.1), shown(0.9)])


def test_nobody_there_is_one_sentence():
    with Service() as service:
        pass
    with pytest.raises(ConfigError, match="nobody answers at .*start the service, or name another with --endpoint"):
        model(service, retries=0)[0].ask("x")


def test_a_spent_budget_ends_it_before_the_next_request():
    with Service() as service:
        asked, _ = model(service, budget=0.0015, price_in=1.0, price_out=1.0)
        for _ in range(2):
            asked.ask("Image 1 shows 0.1 of the way. Image 2 shows 0.2 of the way.")
        with pytest.raises(BudgetSpent, match="0.00202 of the budget of 0.0015 is spent; raise --budget"):
            asked.ask("x")
        assert len(service.requests) == 2
