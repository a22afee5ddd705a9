"""Hostile messages between actor and learner: refused, and nothing has changed."""

import json

import numpy as np
import pytest
import safetensors.numpy

from robot_rl.agents import make_agent, policy_from_bytes
from robot_rl.agents.policy import _digest
from robot_rl.config import LearnerConfig
from robot_rl.data.codec import encode
from robot_rl.data.delivery import Inbox, Outbox
from robot_rl.data.journal import Journal
from robot_rl.data.parcel import Answer, Parcel
from robot_rl.data.register import Register
from robot_rl.exceptions import DataError
from tests.robot_rl.data import episodes
from tests.robot_rl.data.mutations import mutate, no_code_runs, sealed

RUN, JOURNAL, OTHER = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
SCHEMA = episodes.schema(images=True)
MADE = list(episodes.judged(9, images=True))


def parcel(record, **changes):
    fields = {"run": RUN, "journal": JOURNAL, "actor": "actor0", "end": len(MADE), "record": record}
    return Parcel(**(fields | changes)).to_bytes()


class Learner:
    """Keeps what it is given, in order."""

    full = False

    def __init__(self):
        self.taken = []

    @property
    def received(self):
        return len(self.taken)

    def durable(self, actor):
        return 0

    def next_sequence(self, actor):
        return len(self.taken) if actor == "actor0" else 0

    def receive(self, records):
        self.taken += records
        return len(records)


def test_damaged_parcels_change_nothing_and_the_sound_ones_all_arrive_once(tmp_path):
    rng, learner = np.random.default_rng(1), Learner()
    register = Register(tmp_path / "register.json")
    inbox = Inbox(SCHEMA, learner, register, RUN)
    with Journal(tmp_path / "journal", SCHEMA, sync=False) as journal:
        sound = [parcel(journal.append(record)) for record in MADE]
    inbox.accept(parcel(b""))
    for index, message in enumerate(sound):
        for _ in range(400):
            with no_code_runs(), pytest.raises(DataError):
                inbox.accept(mutate(rng, message))
            assert learner.received == index
        for again in (message, message, sound[0]):
            assert inbox.accept(again).wanted == index + 1
    assert inbox.refused["damaged"] == 400 * len(MADE)
    assert all(episodes.same(left, right) for left, right in zip(learner.taken, MADE, strict=True))


def test_forged_parcels_are_refused_or_bring_what_is_valid_and_next(tmp_path):
    """Every checksum is right: head and record are each damaged before they are sealed."""
    rng, taken, refused = np.random.default_rng(2), 0, 0
    for number in range(2500):
        learner = Learner()
        inbox = Inbox(SCHEMA, learner, Register(tmp_path / f"{number % 7}.json"), RUN)
        record = encode(MADE[0], SCHEMA)
        changes = {"run": OTHER} if rng.integers(5) == 0 else {"actor": "actor1"} if rng.integers(5) == 0 else {}
        message = parcel(sealed(mutate(rng, record)), **changes)
        try:
            with no_code_runs():
                answer = inbox.accept(message)
        except DataError:
            assert not learner.taken
            refused += 1
            continue
        assert bool(answer.refusal) == bool(inbox.refused)
        assert not (changes and learner.taken)
        refused += bool(answer.refusal)
        taken += len(learner.taken)
        for record in learner.taken:
            assert record.sequence == 0
            encode(record, SCHEMA)  # validates
    assert refused > 1500
    assert taken > 20


def test_damaged_answers_move_no_outbox(tmp_path):
    rng = np.random.default_rng(3)
    with Journal(tmp_path, SCHEMA, sync=False) as journal:
        for record in MADE:
            journal.append(record)
        outbox = Outbox(journal, run=RUN, identity=JOURNAL, actor="actor0")
        text = Answer(RUN, JOURNAL, "actor0", 4).to_text()
        assert outbox.take(Answer.from_text(text), 0.0)
        before = outbox.pending
        for _ in range(4000):
            damaged = mutate(rng, text.encode()).decode(errors="replace")
            if damaged == text:
                continue
            try:
                with no_code_runs():
                    answer = Answer.from_text(damaged)
            except DataError:
                continue
            assert answer == Answer.from_text(text)  # a blank more or less
        assert outbox.pending == before


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 100_000, "{}", '{"checksum": 1}', '{"run": 1e999}'])
def test_text_that_is_no_answer(text):
    with pytest.raises(DataError):
        Answer.from_text(text)


@pytest.fixture(scope="module")
def weights():
    observation = {"x": np.zeros(3, np.float32), "wrist": np.zeros((32, 32, 3), np.uint8)}
    return make_agent("rlpd", LearnerConfig(hidden=(8,)), observation, 2, 0).policy().to_bytes(7)


def test_damaged_weights_are_refused(weights):
    rng = np.random.default_rng(4)
    assert policy_from_bytes(weights)[1] == 7
    with no_code_runs():
        for _ in range(2000):
            damaged = mutate(rng, weights)
            try:
                policy, version = policy_from_bytes(damaged)
            except DataError:
                continue
            assert policy.to_bytes(version) == weights  # padding


FACTS = [
    None,
    True,
    -1,
    0,
    2**40,
    1e400,
    float("nan"),
    "",
    "x",
    [],
    [[]],
    {},
    [-1],
    [0],
    [2**40],
    ["x"],
    [["x", 2**40]],
]


def test_forged_weights_are_refused(weights):
    """The checksum is right, and what the message says of itself is not."""
    rng, refused = np.random.default_rng(5), 0
    arrays = safetensors.numpy.load(weights)
    length = int.from_bytes(weights[:8], "little")
    sound = json.loads(json.loads(weights[8 : 8 + length])["__metadata__"]["policy"])
    del sound["sha256"]
    for _ in range(400):
        facts = json.loads(json.dumps(sound))
        where = facts["observation"] if rng.integers(2) else facts
        where[list(where)[rng.integers(len(where))]] = FACTS[rng.integers(len(FACTS))]
        facts["sha256"] = _digest(facts, arrays)
        try:
            policy_from_bytes(safetensors.numpy.save(arrays, {"policy": json.dumps(facts)}))
        except DataError:
            refused += 1
    assert refused > 200
