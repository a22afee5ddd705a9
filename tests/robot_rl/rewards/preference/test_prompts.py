import pytest

from robot_rl.rewards.preference.prompts import parse_choice


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("0", 0), ("1", 1), ("-1", -1), (" 1.\n", 1), ("**1**", 1), ("Answer: 0", 0), ("Because of x\n\n(-1)", -1),
        ("Preference = 1", 1), ("`0`", 0),
        ("Image 1", None), ("I cannot tell", None), ("", None), ("2", None), ("0 or 1", None), ("1\nI hope", None),
        ("10", None),
    ],
)  # fmt: skip
def test_choices(text, answer):
    assert parse_choice(text) == answer
