import dataclasses
import json
import shutil
import time

import numpy as np
import pytest

import tasks
from benchmarks.chat_service import Manners, Service
from robot_rl.checkpoint import checkpoint_names
from robot_rl.config import effective
from robot_rl.data.formats.experience import open_experience
from robot_rl.data.replay import Replay
from robot_rl.exceptions import ConfigError, DataError
from robot_rl.metrics import read_metrics
from robot_rl.nets.observation import ObservationSpec
from robot_rl.rewards.preference.configuration import FeedbackConfig
from robot_rl.rewards.preference.online import FeedbackReward
from robot_rl.rewards.preference.store import ANSWERS, PREFERENCES, read_preferences
from tests.robot_rl.learning import ACTIONS, transition
from tests.robot_rl.rewards.preference import moving
from tests.robot_rl.test_training import begin, train, weights

FEEDBACK = FeedbackConfig(
    task="the square is at the right", model="looker", stages=1, retries=0, pairs=60, every=20, session=30, share=1.0
)


def seen(x, seed):
    """A picture of the square at x, and features that show where it is."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(2, 2, 2, 4)) * 0.1
    maps[:, 0, 0] += 4 * x
    return {"wrist": moving.picture(rng, x), "wrist_features": maps.astype(np.float16)}


def step(number, x, episode="a"):
    before, after = seen(0.5, 2 * number), seen(x, 2 * number + 1)
    return transition(number, episode=episode, step=number, observation=before, following=after, reward=0.0)


def walk(count):
    return [step(number, number * 7 % 20 / 20) for number in range(count)]


SPEC = ObservationSpec(features=(("wrist_features", (2, 2, 2, 4)),), vectors=())


class Run:
    """A learnt reward with a replay, as a learner has them."""

    def __init__(self, folder, service, wait=True, **changes):
        config = dataclasses.replace(FEEDBACK, endpoint=service.url, **changes)
        self.told = []
        self.judge = FeedbackReward(
            config, folder, ("wrist",), task="reach", backbone_id="b", seed=0, wait=wait, tell=self.told.append
        )
        self.replay = Replay(SPEC, ACTIONS, 200)

    def add(self, steps):
        for one in steps:
            self.judge.saw(one, shown=False)
            self.replay.add(one)
        return self.judge.learn(self.replay)

    def worth(self, *xs):
        return self.judge.reward({"wrist_features": np.stack([seen(x, 77)["wrist_features"] for x in xs])})


def test_what_is_nearer_the_goal_becomes_worth_more(tmp_path):
    with Service(Manners(wrong=0.05, unsure=0.2)) as service:
        run = Run(tmp_path, service)
        assert not run.worth(0.1, 0.9).any()
        otherwise, metrics = run.add(walk(20))
        assert otherwise and metrics["comparisons"] > 15
        assert len(service.requests) == 30 and len(read_preferences(tmp_path)) == 30
        low, high = run.worth(0.1, 0.9)
        assert -1 <= low < high - 0.5 <= 1
        assert run.judge.learn(run.replay) == (False, {})  # the next session is not due
        assert run.add([step(20 + i, 0.3) for i in range(20)])[0]
        assert len(read_preferences(tmp_path)) == 60
        assert run.add([step(40 + i, 0.3) for i in range(40)]) == (False, {})  # all were made
        run.judge.close()
    assert run.told[0] == "comparisons: 60 at most, 60 requests"
    assert "ok" in run.told[2] and "unsure so far" in run.told[2]


def test_it_goes_on_where_it_was_and_asks_nothing_twice(tmp_path):
    with Service() as service:
        first = Run(tmp_path, service)
        first.add(walk(20))
        kept = first.judge.save()
        first.add([step(20 + i, 0.3) for i in range(20)])
        asked, wanted = len(service.requests), first.worth(0.1, 0.5, 0.9)
        first.judge.close()
        second = Run(tmp_path, service)
        second.judge.restore(kept[0], json.loads(json.dumps(kept[1])))
        assert second.add([step(20 + i, 0.3) for i in range(20)])[0]
        assert len(service.requests) == asked
        assert np.array_equal(second.worth(0.1, 0.5, 0.9), wanted)
        second.judge.close()
        for number, file in enumerate(sorted((tmp_path / "moments").iterdir())):
            file.write_bytes(file.read_bytes()[:-40] if number % 2 else b"gone")
        third = Run(tmp_path, service)
        with pytest.raises(DataError, match="step 0 of episode a cannot be read"):
            third.judge.restore(*kept)
        third.judge.close()


def test_without_waiting_the_learner_goes_on_meanwhile(tmp_path):
    with Service(Manners(slow=0.02)) as service:
        run = Run(tmp_path, service, wait=False)
        assert run.add(walk(20)) == (False, {})
        end, waited = time.monotonic() + 60, 0
        while not run.judge.learn(run.replay)[0]:
            waited += 1
            assert time.monotonic() < end
            time.sleep(0.01)
        assert waited > 10 and len(read_preferences(tmp_path)) == 30
        run.judge.close()


def test_a_run_that_is_to_end_does_not_wait_for_a_session(tmp_path):
    with Service(Manners(slow=0.1)) as service:
        run = Run(tmp_path, service)
        run.judge._run_ends = lambda: len(service.requests) > 3
        began = time.monotonic()
        assert run.add(walk(20)) == (False, {})
        assert time.monotonic() - began < 2 and len(service.requests) < 6
        said = len(read_preferences(tmp_path))
        run.judge._run_ends = lambda: False
        assert run.judge.learn(run.replay)[0] and len(read_preferences(tmp_path)) == 30  # it is begun again
        assert 0 < said < 6 and len(service.requests) == 30
        run.judge.close()


def test_what_is_said_in_the_last_session_counts_though_a_checkpoint_came_between(tmp_path):
    with Service() as service:
        run = Run(tmp_path, service, session=60, wait=False)
        run.add(walk(20))
        kept = run.judge.save()
        run.judge._running.result()
        run.judge.close()
        assert kept[1]["sessions"] == 0
        again = Run(tmp_path, service, session=60)
        again.judge.restore(kept[0], json.loads(json.dumps(kept[1])))
        again.replay = run.replay
        assert again.judge.learn(again.replay)[0] and len(service.requests) == 60
        again.judge.close()


def test_later_sessions_are_not_known_before_their_time(tmp_path):
    with Service() as service:
        run = Run(tmp_path, service)
        run.add(walk(20))
        kept, wanted = run.judge.save(), run.worth(0.1, 0.9)
        run.add([step(20 + i, 0.3) for i in range(20)])
        later = run.worth(0.1, 0.9)
        run.judge.close()
        assert {one.session for one in read_preferences(tmp_path)} == {1, 2}
        again = Run(tmp_path, service)
        state = kept[1] | {"sessions": 0, "version": 0, "due": 0}
        again.judge.restore(kept[0], json.loads(json.dumps(state)))
        again.replay = run.replay
        assert again.judge.learn(again.replay)[0] and np.array_equal(again.worth(0.1, 0.9), wanted)
        assert not np.array_equal(wanted, later) and len(service.requests) == 60
        again.judge.close()


def test_a_budget_that_is_spent_ends_the_asking_and_what_was_said_is_learnt_from(tmp_path):
    money = {"budget": 0.0199, "price_in": 1.0}
    with Service() as service:
        run = Run(tmp_path, service, **money)
        otherwise, metrics = run.add(walk(20))
        assert otherwise and metrics["comparisons"] == len(service.requests) == 20
        assert any("raise --feedback.budget" in text for text in run.told)
        assert run.add([step(20 + i, 0.3) for i in range(20)]) == (False, {})
        run.judge.close()
        again = Run(tmp_path, service, **money)  # the account outlives the process
        again.add([step(40 + i, 0.3) for i in range(20)])
        assert len(service.requests) == 20
        kept = run.judge.save()
        again.judge.close()
        raised = Run(tmp_path, service, **money | {"budget": 0.0249})
        raised.judge.restore(kept[0], json.loads(json.dumps(kept[1])))
        raised.add([step(60 + i, 0.3) for i in range(20)])
        assert len(service.requests) == 25  # it goes on where the budget was raised
        raised.judge.close()


def test_closing_ends_a_session_and_keeps_its_answers(tmp_path):
    with Service(Manners(slow=0.05)) as service:
        run = Run(tmp_path, service, wait=False)
        run.add(walk(20))
        while not service.requests:
            time.sleep(0.005)
        run.judge.close()
        assert 1 <= len(service.requests) < 10
    assert len(read_preferences(tmp_path)) == len((tmp_path / ANSWERS).read_text().splitlines())


def test_a_service_that_goes_away_stops_the_first_session_and_no_later_one(tmp_path):
    with Service() as service:
        run = Run(tmp_path / "late", service)
        run.add(walk(20))
        early = Run(tmp_path / "early", service)
    before = run.worth(0.1, 0.9)
    assert run.add([step(20 + i, 0.3) for i in range(20)]) == (False, {})
    assert "nobody answers" in run.told[-1] or "the reward stays as it is" in run.told[-1]
    assert np.array_equal(run.worth(0.1, 0.9), before)
    with pytest.raises(ConfigError, match=str(service.url).rsplit(":", 1)[0]):
        early.add(walk(20))
    run.judge.close()
    early.judge.close()


def height(picture):
    """How bright the scene is: no goal at all, but something to compare."""
    return float(picture.mean() / 255)


def test_a_run_learns_from_comparisons_of_its_own_pictures_and_goes_on(tmp_path):
    pytest.importorskip("torch")
    with Service(measure=height) as service:
        feedback = {"endpoint": service.url, "task": "it is bright", "model": "looker", "stages": 1, "retries": 0}
        feedback |= {"pairs": 24, "session": 12, "every": 30, "share": 0.8}
        layer = {
            "obs": "features",
            "crops": 1,
            "reward": "preference",
            "feedback": feedback,
            "steps": 100,
            "demos": "1",
        }
        config, run = begin(tmp_path / "run", **layer)
        assert config.keep_pictures
        _, policy = train(config, run)
        assert len(read_preferences(run.feedback)) == 24
        names = [item.name for item in open_experience(run.path).schema.observation]
        assert {"wrist", "wrist_features"} <= set(names)
        records = list(read_metrics(run.metrics))
        assert sum("comparisons" in record for record in records if record["kind"] == "update") == 2
        assert any(record["kind"] == "notice" and "24 at most" in record["text"] for record in records)
        asked = len(service.requests)
        newest = checkpoint_names(run.checkpoints)[-1]
        shutil.rmtree(run.checkpoints / newest)
        _, again = train(dataclasses.replace(config, resume=True), run)
        assert weights(again) == weights(policy)
        assert len(service.requests) == asked
    assert (run.feedback / PREFERENCES).is_file()


@pytest.mark.parametrize(
    "layer, text",
    [
        ({"obs": "state"}, "keep_pictures is on, but obs is state"),
        ({"obs": "features", "keep_pictures": False}, "needs --obs features --keep-pictures"),
        ({"obs": "features", "feedback": {"model": "m"}}, "--feedback.task is empty"),
        ({"obs": "features", "feedback": {"task": "t"}}, "--feedback.model is empty"),
        ({"obs": "features", "feedback": {"task": "t", "model": "m", "endpoint": "here/v1"}}, "endpoint is 'here/v1'"),
        ({"obs": "features", "learner": {"stack": 2}}, "judges single moments"),
        ({"obs": "features", "feedback": {"task": "t", "model": "m", "share": 0.0}}, "--feedback.share is 0.0"),
    ],
)
def test_a_run_that_cannot_have_it_is_refused(layer, text):
    with pytest.raises(ConfigError, match=text):
        effective(tasks.load("reach"), {"reward": "preference"} | layer)
