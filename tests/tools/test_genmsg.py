"""The generator of message packages: official type hashes, and packages that the middleware takes."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path for path in (ROOT / "interfaces").iterdir() if path.is_dir())


@pytest.fixture
def genmsg(monkeypatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", sys.prefix)
    spec = importlib.util.spec_from_file_location("genmsg", ROOT / "tools" / "genmsg.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "genmsg", module)
    spec.loader.exec_module(module)
    if module.missing_tools():
        pytest.skip(f"no compiler: install {module.missing_tools()}")
    return module


def test_type_hashes_are_the_official_ones(genmsg, tmp_path):
    official = Path(sys.prefix) / "share" / "std_srvs"
    source = tmp_path / "std_srvs"
    shutil.copytree(official / "srv", source / "srv", ignore=shutil.ignore_patterns("*.idl", "*.json"))
    package = genmsg.read(source, tmp_path / "build")
    genmsg.generate(package)
    made = {Path(path).name: json.loads(Path(path).read_text())["type_hashes"] for path in package.hashes}
    for name in ("Empty.json", "SetBool.json", "Trigger.json"):
        assert made[name] == json.loads((official / "srv" / name).read_text())["type_hashes"]


@pytest.mark.parametrize("source", PACKAGES, ids=lambda path: path.name)
def test_packages_of_ours_are_installed_as_they_are_defined(genmsg, source):
    assert genmsg.up_to_date(source)
    installed = Path(sys.prefix) / "share" / source.name
    if installed.exists():  # not from a sourced workspace
        for path in (path for kind in genmsg.KINDS for path in (source / kind).glob("*")):
            assert (installed / path.relative_to(source)).read_text() == path.read_text()
            described = json.loads((installed / path.relative_to(source).with_suffix(".json")).read_text())
            assert all(each["hash_string"].startswith("RIHS01_") for each in described["type_hashes"])


def test_a_changed_definition_is_noticed(genmsg, tmp_path):
    source = tmp_path / "franka_msgs"
    shutil.copytree(ROOT / "interfaces" / "franka_msgs", source)
    assert genmsg.up_to_date(source)
    (source / "action" / "Homing.action").write_text("float64 force\n---\nbool success\n---\n")
    assert not genmsg.up_to_date(source)


def test_without_a_compiler_the_package_to_install_is_named(genmsg, monkeypatch, capsys, tmp_path):
    (tmp_path / "some_msgs" / "msg").mkdir(parents=True)
    monkeypatch.setattr(genmsg.shutil, "which", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["genmsg.py", str(tmp_path / "some_msgs")])
    assert genmsg.main() == genmsg.NO_COMPILER
    assert "some_msgs need a compiler: install g++" in capsys.readouterr().err
