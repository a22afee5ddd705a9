"""The package as pip and colcon install it, the images, and what the documents promise of files."""

import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import pytest
import yaml

import tasks
from robot_rl.config import RunConfig
from robot_rl.graph import graph

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Names in the built wheel. The sources are copied first: a build writes beside them."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
            target.chmod((ROOT / name).stat().st_mode)
    build = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation", "-w", str(folder), "."]
    subprocess.run(build, cwd=folder / "source", check=True)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path).namelist()


def test_wheel_holds_every_module_and_data_file(wheel):
    for package in ("robot_rl", "cells", "controllers", "tasks", "calibration", "benchmarks"):
        for path in (ROOT / package).rglob("*"):
            if path.suffix in {".py", ".xml", ".yaml"}:
                assert str(path.relative_to(ROOT)) in wheel


def test_wheel_holds_what_ros_looks_for(wheel):
    data = {re.sub(r"^robot_rl-[^/]*\.data/data/", "", name) for name in wheel}
    assert "share/ament_index/resource_index/packages/robot_rl" in data
    assert "share/robot_rl/package.xml" in data
    for name in [path.name for path in (ROOT / "scripts").iterdir()]:
        assert f"lib/robot_rl/{name}" in data
    for path in (ROOT / "launch").glob("*.launch.*"):
        assert f"share/robot_rl/launch/{path.name}" in data


def test_every_node_has_a_shim_for_ros2_run():
    shims = {path.name: path for path in (ROOT / "scripts").iterdir()}
    nodes = {node.name for node in graph(RunConfig("reach", obs="pixels"))}
    assert set(shims) == nodes | {"robot-rl"}
    for path in shims.values():
        assert path.stat().st_mode & 0o111
        assert path.read_text().startswith("#!/usr/bin/env python3\n")


def test_shim_runs():
    done = subprocess.run([sys.executable, str(ROOT / "scripts/robot-rl"), "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, PROJECT["version"])
    done = subprocess.run([sys.executable, str(ROOT / "scripts/arm")], capture_output=True, text=True)
    assert done.returncode == 2
    assert "needs --run" in done.stderr


def test_package_xml_agrees_with_pyproject():
    root = ElementTree.parse(ROOT / "package.xml").getroot()
    assert root.attrib["format"] == "3"
    assert root.findtext("name") == PROJECT["name"]
    assert root.findtext("version") == PROJECT["version"]
    assert root.findtext("license") == "Apache-2.0"
    assert re.fullmatch(r"[^@\s]+@[^@\s]+\.[a-z]+", root.find("maintainer").attrib["email"])
    assert root.findtext("export/build_type") == "ament_python"
    depends = {element.text for element in root.findall("exec_depend")}
    wheels = {re.sub(r"[^a-z-].*", "", name)[4:].replace("-", "_") for name in PROJECT["optional-dependencies"]["ros"]}
    assert wheels <= depends | {"rcl_interfaces"}


def test_every_ros_wheel_is_pinned():
    for requirement in PROJECT["optional-dependencies"]["ros"]:
        assert re.fullmatch(r"ros-[a-z-]+(\[fastrtps\])?==[0-9.]+", requirement)


def test_every_dependency_has_a_lower_and_an_upper_bound_and_a_reason():
    reasons = (ROOT / "docs/dependencies.md").read_text()
    for requirement in PROJECT["dependencies"]:
        assert re.fullmatch(r"[a-z0-9-]+>=[0-9.]+,<[0-9.]+", requirement)
        name, bounds = re.split("(?=>=)", requirement)
        assert name in reasons
        assert bounds.replace(",", ", ") in reasons
        assert "torch" not in name


def test_constraints_are_exact_and_name_no_place():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in pins)
    pinned = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in pins}
    wanted = {re.split(r"[^a-z0-9-]", name)[0] for name in PROJECT["dependencies"]}
    assert wanted <= pinned


@pytest.mark.parametrize("name", ["Dockerfile.sim", "Dockerfile.robot"])
def test_dockerfile(name):
    lines = (ROOT / "docker" / name).read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    base = next(words[1] for words in steps if words[0] == "FROM")
    assert ":" in base
    assert "latest" not in base
    for word, rest in steps:
        assert word in {"FROM", "RUN", "COPY", "WORKDIR", "USER", "ENV", "ENTRYPOINT", "CMD"}
        if word == "COPY":
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
        if word == "RUN" and "apt-get install" in rest:
            assert "--no-install-recommends" in rest
            assert rest.rstrip().endswith("rm -rf /var/lib/apt/lists/*")
        if word == "RUN" and "pip install" in rest:
            assert "--no-cache-dir" in rest


def test_every_folder_that_the_wheel_takes_is_copied_into_the_images():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    for name in ("Dockerfile.sim", "Dockerfile.robot"):
        copied = set(re.findall(r"^COPY (\w+) \w+$", (ROOT / "docker" / name).read_text(), re.M))
        assert copied == packages | {"resource", "scripts", "launch"}


def test_compose_builds_what_is_there():
    services = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
    for service in services.values():
        context = (ROOT / "docker" / service["build"]["context"]).resolve()
        assert context == ROOT
        assert (context / service["build"]["dockerfile"]).is_file()


def documents():
    return [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "tasks").glob("*/README.md")]


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_document_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
        if "://" not in link:
            assert (path.parent / link).exists(), link


def test_every_task_has_its_page():
    for name in tasks.names():
        assert (ROOT / "tasks" / name / "README.md").is_file(), name
