import pytest

from robot_rl.data.delivery import Inbox
from robot_rl.data.register import Register
from tests.robot_rl.data import episodes
from tests.robot_rl.data.delivering import RUN, Actor


@pytest.fixture
def actor(tmp_path):
    return Actor(tmp_path, "left", images=False)


@pytest.fixture
def make_inbox(tmp_path):
    """make_inbox(learner, images=..., task=...): an inbox that remembers whose journal is whose."""

    def make(learner, images=False, task="reach", run=RUN):
        return Inbox(episodes.schema(images, task), learner, Register(tmp_path / "register.json"), run)

    return make
