"""What the comparison of RLIF makes of results that are there."""

import dataclasses

import pytest

from benchmarks import common, rlif

STUDY = dataclasses.replace(rlif.STUDIES[0], seeds=2)


def result(*values, steps=1000, intervened=500, shares=(0.5,) * 5):
    kept = [{"step": (index + 1) * steps // len(values), STUDY.key: value} for index, value in enumerate(values)]
    return {"kept": kept, "steps": steps, "intervened_steps": intervened, "intervened_shares": list(shares)}


def test_the_expert_is_the_kept_policy_nearest_to_the_quality_asked_for():
    teacher = result(0.0, 0.3, 0.8, 0.4) | {"path": "runs/teacher"}
    assert rlif.expert_of(STUDY, teacher, 0.5) == ("runs/teacher@1000", 0.4)
    assert rlif.expert_of(STUDY, teacher, 1.0) == ("runs/teacher@750", 0.8)


@pytest.mark.parametrize("expert_steps, value", [(500, 0.4), (499, 0.3), (250, 0.2), (1, 0.1), (9000, 0.4)])
def test_a_policy_is_looked_for_by_the_experts_steps_that_it_took(expert_steps, value):
    assert rlif.after(result(0.1, 0.2, 0.3, 0.4), expert_steps, STUDY.key) == value


def test_fewer_takeovers_late_in_a_run_leave_its_end_to_compare_with():
    late = result(0.1, 0.2, 0.3, 0.4, shares=(1.0, 0.5, 0.0, 0.0, None))
    assert rlif.after(late, 300, STUDY.key) == 0.4
    assert rlif.after(late, 299, STUDY.key) == 0.1


def test_what_there_is_so_far_is_shown_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "BUILD", tmp_path)
    monkeypatch.setattr(rlif, "ROOT", tmp_path)
    partial = common.Partial("rlif", quick=False)
    assert rlif.show(STUDY, partial, quick=False) == []
    partial.put("peg_insert-teacher", result(0.4, 1.0) | {"path": "runs/teacher"})
    partial.put(rlif.key_of(STUDY, 1.0, "BC", 0), result(0.1, 0.1, intervened=0))
    assert rlif.show(STUDY, partial, quick=False) == []
    partial.put(rlif.key_of(STUDY, 0.4, "RLIF", 0), result(0.5, 0.9))
    partial.put(rlif.key_of(STUDY, 0.4, "RLIF", 1), result(0.5, 0.7))
    partial.put(rlif.key_of(STUDY, 0.4, "HG-DAgger", 1), result(0.2, 0.3, shares=(1.0,) * 5, intervened=1000))
    figures = {figure.name: figure for figure in rlif.show(STUDY, partial, quick=False)}
    end = figures["peg_insert, expert 40 %, RLIF: success at the end, mean of 2 seeds"]
    assert end.value == pytest.approx(0.8) and end.peer_value == 0.4
    assert figures["peg_insert, expert 40 %, BC: the least"].value == 0.1
    beside = figures["peg_insert, expert 40 %, RLIF at the end"]
    assert beside.value == pytest.approx(0.7) and beside.peer_value == pytest.approx(0.2)
    assert [path.name for path in (tmp_path / "docs" / "images").iterdir()] == ["rlif-peg_insert-40.png"]
    assert not any("100 %" in name for name in figures)


def test_cloning_is_measured_once_beside_all_experts():
    assert rlif.key_of(STUDY, 1.0, "BC", 3) == rlif.key_of(STUDY, 0.4, "BC", 3) == "peg_insert-0.4-BC-3"
    assert rlif.key_of(STUDY, 1.0, "RLIF", 3) == "peg_insert-1-RLIF-3"
