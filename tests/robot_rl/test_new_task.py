import runpy

import pytest

from robot_rl.exceptions import ConfigError
from robot_rl.new_task import make_task
from tasks.spec import TaskSpec


def test_a_made_task_has_the_name_everywhere(tmp_path):
    folder = make_task("plug_2", tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "__init__.py", "scene.xml", "task.py"]
    assert all("press_pad" not in path.read_text() for path in folder.iterdir())
    spec = runpy.run_path(str(folder / "task.py"))["SPEC"]
    assert isinstance(spec, TaskSpec)
    assert spec.name == "plug_2"
    assert spec.scene == folder / "scene.xml"


@pytest.mark.parametrize("name", ["Plug", "2plug", "my-task", "../plug", ""])
def test_a_name_that_no_task_can_have_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="begin with a small letter"):
        make_task(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(tmp_path):
    folder = make_task("plug", tmp_path)
    (folder / "task.py").write_text("mine")
    with pytest.raises(ConfigError, match="exists already; choose another name"):
        make_task("plug", tmp_path)
    assert (folder / "task.py").read_text() == "mine"
