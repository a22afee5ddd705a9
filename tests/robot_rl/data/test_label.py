import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.data.label import EPISODE, KINDS, Label, Labels
from robot_rl.exceptions import DataError


def label(kind="reward", value=1.0, step=3, source="human", version=0, stamp=0.0, sequence=0, episode="e"):
    return Label("judge", sequence, stamp, episode, step, source, version, kind, value)


def holding(*said):
    labels = Labels()
    for one in said:
        labels.add(one)
    return labels


def test_where_nobody_said_anything_the_record_holds():
    labels = holding(label(step=4), label(episode="other"))
    assert labels.reward("e", 3, -0.5) == -0.5
    assert labels.success("e", 3, True) is True
    assert not labels.discarded("e", 3)


def test_the_newest_version_of_a_source_holds():
    labels = holding(label(value=2.0, version=2), label(value=1.0, version=1, stamp=9.0))
    assert labels.reward("e", 3, 0.0) == 2.0
    assert holding(label("success", 0.0)).success("e", 3, True) is False
    assert holding(label("discard")).discarded("e", 3)


def test_a_person_stands_before_a_classifier_and_a_step_before_its_episode():
    person, classifier = label(value=1.0, step=EPISODE), label(value=2.0, source="classifier", version=9, stamp=9.0)
    assert holding(person, classifier).reward("e", 3, 0.0) == 1.0
    assert holding(label(value=1.0, step=EPISODE, stamp=9.0), label(value=2.0)).reward("e", 3, 0.0) == 2.0
    older, newer = label(value=1.0, source="b"), label(value=2.0, source="a", stamp=1.0)
    assert holding(older, newer).reward("e", 3, 0.0) == 2.0


def test_an_undo_takes_back_what_its_source_said_so_far_and_no_more():
    said = label("discard", version=1), label("undo", 0.0, version=1)
    assert not holding(*said).discarded("e", 3)
    assert not holding(*reversed(said)).discarded("e", 3)  # also where it overtakes what it takes back
    assert holding(*said, label("discard", version=2)).discarded("e", 3)
    assert holding(said[0], dataclasses.replace(said[1], source="classifier")).discarded("e", 3)
    assert holding(said[0], dataclasses.replace(said[1], step=EPISODE)).discarded("e", 3)
    classifier = label(value=5.0, source="classifier")
    assert holding(classifier, label(value=1.0), label("undo", 0.0)).reward("e", 3, 0.0) == 5.0


def test_add_tells_whether_an_answer_may_have_changed():
    labels = Labels()
    assert not labels.add(label("undo", 0.0, version=0))
    assert labels.add(label(version=1))
    assert not labels.add(label(version=1))
    assert not labels.add(label(version=0, value=3.0))
    assert labels.add(label("undo", 0.0, version=1))
    assert not labels.add(label("undo", 0.0, version=1, sequence=7))
    assert not labels.add(label(value=4.0, version=1, sequence=8))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "praise"}, "'praise'.*reward, success, discard, undo"),
        ({"value": float("nan")}, "finite"),
        ({"stamp": float("inf")}, "finite"),
        ({"kind": "success", "value": 0.5}, "success is 0.5"),
        ({"step": -2}, "step is -2"),
    ],
)
def test_an_impossible_label_is_refused(change, words):
    with pytest.raises(DataError, match=words):
        dataclasses.replace(label(), **change)


@st.composite
def judgements(draw):
    kind = draw(st.sampled_from(KINDS))
    value = draw(st.sampled_from([0.0, 1.0]) if kind != "reward" else st.floats(-9, 9))
    return label(
        kind, value, step=draw(st.sampled_from([EPISODE, 0, 1])), source=draw(st.sampled_from(["human", "a", "b"])),
        version=draw(st.integers(0, 3)), stamp=draw(st.sampled_from([0.0, 1.0])), sequence=draw(st.integers(0, 99)),
    )  # fmt: skip


def answers(labels):
    return [
        (labels.reward("e", step, 99.0), labels.success("e", step, True), labels.discarded("e", step))
        for step in (0, 1)
    ]


@given(st.lists(judgements(), max_size=12, unique_by=lambda one: one.sequence), st.randoms())
def test_the_order_of_arrival_changes_nothing(said, order: random.Random):
    shuffled = list(said)
    order.shuffle(shuffled)
    assert answers(holding(*said)) == answers(holding(*shuffled, *said))


@given(st.lists(judgements(), max_size=12, unique_by=lambda one: one.sequence), st.integers(0, 12))
def test_what_it_lists_is_all_that_another_needs(said, at):
    kept = holding(*holding(*said[:at]))
    assert answers(kept) == answers(holding(*said[:at]))
    assert answers(holding(*kept, *said[at:])) == answers(holding(*said))


@given(st.lists(judgements(), max_size=12, unique_by=lambda one: one.sequence))
def test_where_add_says_no_no_answer_changed(said):
    labels = Labels()
    for one in said:
        before = answers(labels)
        if not labels.add(one):
            assert answers(labels) == before
