"""What the rewards' commands say."""

import pytest

from robot_rl.cli import main


@pytest.fixture
def said(capsys):
    """Runs a command: exit code, standard output, standard error."""

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
