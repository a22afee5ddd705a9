from robot_rl.operator import COMMANDS, MEANINGS, NoOperator, OperatorState


def test_every_command_has_a_meaning_to_show():
    assert tuple(MEANINGS) == COMMANDS and all(MEANINGS.values())


def test_who_asks_for_nothing_may_be_shown_everything():
    nobody = NoOperator()
    nobody.show(OperatorState(paused=True))
    assert nobody.take() == []


def test_how_things_are_in_a_word():
    states = {
        "between episodes": OperatorState(3),
        "episode 3": OperatorState(3, running=True),
        "paused": OperatorState(3, paused=True),
        "stopping": OperatorState(3, paused=True, stopping=True),
    }
    assert {text: state.text for text, state in states.items()} == {text: text for text in states}
