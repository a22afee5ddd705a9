from controllers.twin.agenda import Agenda


def test_events_part_the_time_and_come_in_order():
    agenda, said, now = Agenda(), [], 0
    agenda.add(30, "target", lambda: said.append(("c", now)))
    agenda.add(5, "target", lambda: said.append(("a", now)))
    agenda.add(5, "other", lambda: said.append(("b", now)))
    agenda.add(0, "other", lambda: said.append(("first", now)))
    parts = []
    for periods in (20, 10, 7):
        for part in agenda.stretches(periods):
            parts.append(part)
            now += part
    assert said == [("first", 0), ("a", 5), ("b", 5), ("c", 30)]
    assert parts == [5, 15, 10, 7]


def test_what_is_forgotten_does_not_happen():
    agenda, said = Agenda(), []
    for kind in ("target", "other"):
        agenda.add(3, kind, lambda kind=kind: said.append(kind))
    agenda.forget("target")
    assert list(agenda.stretches(5)) == [3, 2]
    assert said == ["other"]
