import pytest

from robot_rl.exceptions import DataError
from robot_rl.rewards.preference.store import (
    Cache,
    Preference,
    add_preference,
    counts,
    key_of,
    read_preferences,
)

GOOD = Preference(("a", 1), ("b", 2), 1, "ok", "looker")


def test_what_was_said_is_read_back_and_a_torn_line_is_passed_over(tmp_path):
    add_preference(tmp_path, GOOD)
    with (tmp_path / "preferences.jsonl").open("a") as file:
        file.write('{"first": ["a"')
    other = Preference(("a", 1), ("c", 0), None, "unsure", "looker", "-1")
    add_preference(tmp_path, other)
    assert read_preferences(tmp_path) == [GOOD, other]
    assert counts([GOOD, other]) == {"ok": 1, "unsure": 1, "failed": 0, "identical": 0}


def test_an_answer_that_is_none_is_refused(tmp_path):
    with pytest.raises(DataError, match="answer is None and its status 'ok'"):
        Preference(("a", 1), ("b", 2), None, "ok", "looker")
    (tmp_path / "preferences.jsonl").write_text('{"first": 3}\n')
    with pytest.raises(DataError, match="holds a line that is no preference"):
        read_preferences(tmp_path)


def test_answers_are_kept_by_all_that_was_asked(tmp_path):
    cache = Cache(tmp_path)
    key = key_of("m", "text", (b"a", b"b"))
    cache.put(key, "1")
    assert Cache(tmp_path).get(key) == "1"
    others = [key_of("n", "text", (b"a", b"b")), key_of("m", "text", (b"ab",)), key_of("m", "text", (b"b", b"a"))]
    assert all(cache.get(other) is None for other in others) and len({key, *others}) == 4
