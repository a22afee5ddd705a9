import json
import threading
import urllib.request

import numpy as np
import pytest

from benchmarks.chat_service import Manners, Service
from robot_rl.data.beside import read_labels
from robot_rl.data.formats.experience import open_experience
from robot_rl.rewards.preference.human import HumanJudge
from robot_rl.rewards.preference.store import ANSWERS, counts, read_preferences
from tests.robot_rl.rewards.preference import moving

TASK = ("--task", "the square is at the right", "--model", "looker", "--retries", "1")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return moving.record(tmp_path_factory.mktemp("moving") / "set")


def label(said, recorded, out, service, *options):
    return said("preferences", "label", recorded, "--out", out, "--endpoint", service.url, *TASK, *options)


def test_from_pictures_to_a_reward_that_an_agent_learns_from(recorded, said, tmp_path):
    with Service(Manners(wrong=0.05, unsure=0.15)) as service:
        code, out, err = label(said, recorded, tmp_path / "labels", service, "--pairs", "120")
        assert code == 0, err
        assert 200 < len(service.requests) <= 240  # two stages; descriptions that are alike are decided once
    by_status = counts(read_preferences(tmp_path / "labels"))
    assert by_status["ok"] > 80 and by_status["unsure"] > 5 and "120 comparisons to ask for, 240 requests" in out
    fit = ("preferences", "fit", recorded, "--labels", tmp_path / "labels", "--out", tmp_path / "reward")
    code, out, err = said(*fit, "--steps", "200", "--hidden", "32")
    assert code == 0 and "comparisons; right on" in out, err
    assert said("data", "relabel", recorded, "--reward", "preference", "--model", tmp_path / "reward")[0] == 0
    where = {(s.episode, s.step): float(s.next_observation["x"][0]) for s in open_experience(recorded).steps()}
    values = {(one.episode, one.step): one.value for one in read_labels(recorded, "preference")}
    assert values.keys() == where.keys()
    order = [np.array([table[place] for place in sorted(where)]).argsort().argsort() for table in (where, values)]
    assert np.corrcoef(*order)[0, 1] > 0.8
    small = ("--learner.hidden", "16,16", "--learner.offline-steps", "20", "--learner.batch", "8", "--episodes", "0")
    learn = ("offline", recorded, "--reward", "preference", "--run", tmp_path / "run", "--task", "moving", *small)
    code, out, err = said(*learn)
    assert code == 0 and "reward preference" in out, err


def test_what_was_asked_once_is_not_paid_for_again(recorded, said, tmp_path):
    with Service() as service:
        assert label(said, recorded, tmp_path / "labels", service, "--pairs", "6")[0] == 0
        asked = len(service.requests)
        assert label(said, recorded, tmp_path / "labels", service, "--pairs", "6")[0] == 0
        assert len(service.requests) == asked == 12
        (tmp_path / "labels" / "preferences.jsonl").unlink()  # the answers alone are there
        assert label(said, recorded, tmp_path / "labels", service, "--pairs", "6")[0] == 0
        assert len(service.requests) == asked
        assert label(said, recorded, tmp_path / "labels", service, "--pairs", "8")[0] == 0
        assert len(service.requests) == asked + 4  # two pairs more, of two stages each
    assert len(read_preferences(tmp_path / "labels")) == 8


def test_a_service_that_goes_away_costs_nothing_that_was_answered(recorded, said, tmp_path):
    with Service(Manners(key="")) as service:
        options = ("--pairs", "10", "--budget", "0.0085", "--price-in", "1", "--stages", "1")
        code, out, err = label(said, recorded, tmp_path / "labels", service, *options)
        assert code == 2 and "budget of 0.0085 is spent; raise --budget" in err and "9 comparisons are kept" in out
        code, _, _ = label(said, recorded, tmp_path / "labels", service, "--pairs", "10", "--stages", "1")
        assert code == 0 and len(service.requests) == 10
    assert len((tmp_path / "labels" / ANSWERS).read_text().splitlines()) == 10


def test_prose_and_refusals_are_kept_apart(recorded, said, tmp_path):
    with Service(Manners(prose=1.0)) as service:
        code, out, _ = label(said, recorded, tmp_path / "labels", service, "--pairs", "4", "--stages", "1")
    assert code == 0 and "0 ok, 0 unsure, 4 failed, 0 identical" in out
    code, _, err = said("preferences", "fit", recorded, "--labels", tmp_path / "labels", "--out", tmp_path / "reward")
    assert code == 2 and "0 comparisons have an answer, and 10 are needed" in err
    assert not (tmp_path / "reward").exists()


def test_a_service_that_only_fails_is_not_asked_on(recorded, said, tmp_path):
    with Service(Manners(statuses=[400] * 99)) as service:
        code, out, err = label(said, recorded, tmp_path / "labels", service, "--pairs", "50", "--stages", "1")
    assert code == 2 and "5 questions in a row got no answer" in err and "4 comparisons are kept" in out


def test_a_reward_of_another_task_judges_nothing(recorded, said, tmp_path):
    with Service() as service:
        assert label(said, recorded, tmp_path / "labels", service, "--pairs", "20", "--stages", "1")[0] == 0
    fit = ("preferences", "fit", recorded, "--labels", tmp_path / "labels", "--out", tmp_path / "reward")
    assert said(*fit, "--steps", "10", "--hidden", "8")[0] == 0
    other = moving.record(tmp_path / "other", episodes=1, task="lift")
    code, _, err = said("data", "relabel", other, "--reward", "preference", "--model", tmp_path / "reward")
    assert code == 2 and "is of task reach" in err and not (other / "labels").exists()


def test_a_dry_run_says_the_cost_and_asks_nothing(recorded, said, tmp_path):
    with Service() as service:
        options = ("--pairs", "50", "--price-in", "2.5", "--price-out", "10", "--dry-run")
        code, out, _ = label(said, recorded, tmp_path / "labels", service, *options)
        assert code == 0 and "100 requests, some 0." in out and not service.requests
    assert not (tmp_path / "labels").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--task", " "), "--task is empty"),
        (("--model", ""), "--model is empty; name a vision-language model"),
        (("--budget", "3"), "no price is known; give --price-in"),
        (("--camera", "front"), "no camera 'front'; it has wrist"),
        (("--length", "11"), "give a smaller --length"),
        (("--pick", "disagreement"), "Name a fitted reward with --reward"),
    ],
)
def test_mistakes_are_one_sentence(recorded, said, tmp_path, options, sentence):
    with Service() as service:
        code, _, err = label(said, recorded, tmp_path / "labels", service, *options)
    assert code == 2 and sentence in err and "Traceback" not in err


def test_another_question_does_not_go_on_with_these_answers(recorded, said, tmp_path):
    with Service() as service:
        assert label(said, recorded, tmp_path / "labels", service, "--pairs", "2")[0] == 0
        code, _, err = label(said, recorded, tmp_path / "labels", service, "--task", "left")
    assert code == 2 and "holds answers with --task 'the square is at the right', not 'left'" in err


def test_pairs_that_members_disagree_on(recorded, said, tmp_path):
    with Service() as service:
        assert label(said, recorded, tmp_path / "labels", service, "--pairs", "40", "--stages", "1")[0] == 0
        fit = ("preferences", "fit", recorded, "--labels", tmp_path / "labels", "--out", tmp_path / "reward")
        assert said(*fit, "--steps", "60", "--hidden", "16")[0] == 0
        options = ("--pick", "disagreement", "--reward", tmp_path / "reward", "--pairs", "10")
        assert label(said, recorded, tmp_path / "more", service, *options)[0] == 0
    where = {(s.episode, s.step): float(s.next_observation["x"][0]) for s in open_experience(recorded).steps()}

    def gap(folder):
        return np.mean([abs(where[one.first] - where[one.second]) for one in read_preferences(folder)])

    assert gap(tmp_path / "more") < gap(tmp_path / "labels")  # what is alike is what they differ on


def answering(url, answer, count):
    """A browser's half of the page, until so many pairs are answered."""
    seen = []
    while len(seen) < count:
        pair = json.loads(urllib.request.urlopen(url + "pair", timeout=5).read())
        if pair["number"] >= 0 and pair["number"] not in seen:
            body = json.dumps({"number": pair["number"], "answer": answer(pair)}).encode()
            assert urllib.request.urlopen(url + "answer", body, timeout=5).status == 200
            seen.append(pair["number"])
    return seen


def test_a_person_compares_on_a_page(tmp_path):
    with HumanJudge("to the right", 3) as judge:
        page = urllib.request.urlopen(judge.url, timeout=5).read().decode()
        assert "/pair" in page and "keydown" in page
        answers = iter(["second", "unsure", "first"])
        browser = threading.Thread(target=answering, args=(judge.url, lambda pair: next(answers), 3))
        browser.start()
        found = [judge.compare(b"one", b"two") for _ in range(3)]
        browser.join()
        assert judge.compare(b"same", b"same").status == "identical"
        with pytest.raises(urllib.error.HTTPError, match="409"):  # late, or for another pair
            urllib.request.urlopen(judge.url + "answer", b'{"number": 0, "answer": "first"}', timeout=5)
        with pytest.raises(urllib.error.HTTPError, match="409"):
            urllib.request.urlopen(judge.url + "answer", b"nonsense", timeout=5)
    assert [(verdict.answer, verdict.status) for verdict in found] == [(1, "ok"), (None, "unsure"), (0, "ok")]
