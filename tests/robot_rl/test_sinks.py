import sys
import types

from robot_rl.config import RunConfig
from robot_rl.runs import RunFolder
from robot_rl.sinks import open_sink, scalars

UPDATE = {"kind": "update", "time": 5.0, "step": 30, "updates": 120, "critic_loss": 0.25, "entropy": None}


def test_scalars_are_the_numbers_under_their_kind():
    assert scalars(UPDATE) == {"update/updates": 120.0, "update/critic_loss": 0.25}
    assert scalars({"kind": "episode", "time": 1.0, "step": 3, "success": True})["episode/success"] == 1.0
    assert scalars({"kind": "node", "time": 1.0, "name": "arm", "event": "died"}) == {}


def test_no_sink_unless_asked(tmp_path):
    run = RunFolder(tmp_path)
    assert open_sink(RunConfig("reach"), run) == ()


class Writer:
    """Stands in for tensorboardX.SummaryWriter: keeps what it is given."""

    def __init__(self, folder):
        self.folder, self.scalars = folder, []

    def add_scalar(self, name, value, step, walltime):
        self.scalars.append((name, value, step, walltime))

    def flush(self):
        self.scalars.append("flush")


def test_tensorboard_gets_steps_and_times(tmp_path, monkeypatch):
    writers = []

    def make(folder):
        writers.append(Writer(folder))
        return writers[-1]

    monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=make))
    (sink,) = open_sink(RunConfig("reach", log="tensorboard"), RunFolder(tmp_path))
    sink(UPDATE)
    assert writers[0].folder == str(tmp_path / "tensorboard")
    assert writers[0].scalars == [("update/updates", 120.0, 30, 5.0), ("update/critic_loss", 0.25, 30, 5.0), "flush"]


def test_wandb_gets_the_configuration_and_the_numbers(tmp_path, monkeypatch):
    began, logged = {}, []

    def init(**settings):
        began.update(settings)
        return types.SimpleNamespace(log=logged.append)

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    (sink,) = open_sink(RunConfig("reach", log="wandb", seed=8), RunFolder(tmp_path / "mine"))
    sink(UPDATE)
    sink({"kind": "node", "time": 1.0, "name": "arm", "event": "died"})
    assert (began["id"], began["config"]["seed"]) == ("mine", 8)
    assert logged == [{"update/updates": 120.0, "update/critic_loss": 0.25, "step": 30}]
