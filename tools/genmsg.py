"""Generate, compile and install ROS 2 interface packages into this environment: gcc and wheels from PyPI, no CMake.

    python tools/genmsg.py interfaces/control_msgs interfaces/franka_msgs

It leaves what `rosidl_generate_interfaces` would (C type supports and the Python package; no C++ headers), and the
type hashes are the official ones. A package whose definitions have not changed since is left alone, and so is one that
a sourced workspace provides. Exit code 3: no compiler or no Python headers; the message names the package to install.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import io
import logging
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

KINDS = ("msg", "srv", "action")
_SERVICE = {"service_msgs", "builtin_interfaces"}
IMPLICIT = {"srv": _SERVICE, "action": _SERVICE | {"action_msgs", "unique_identifier_msgs"}}
"""What the code of a service or an action needs beyond what its definition names."""
GENERATOR, FASTRTPS, INTROSPECTION, TYPESUPPORT, PYTHON = (
    "generator_c",
    "typesupport_fastrtps_c",
    "typesupport_introspection_c",
    "typesupport_c",
    "generator_py",
)
NEEDS = {
    GENERATOR: (),
    FASTRTPS: (GENERATOR,),
    INTROSPECTION: (GENERATOR,),
    TYPESUPPORT: (GENERATOR, FASTRTPS),
    PYTHON: (GENERATOR, TYPESUPPORT),
}
"""The package's libraries in the order in which they are linked, and those of its own that each needs."""
RUNTIME = (
    "rosidl_runtime_c", "rcutils", "rmw", "rosidl_typesupport_c", "rosidl_typesupport_fastrtps_c",
    "rosidl_typesupport_fastrtps_cpp", "rosidl_typesupport_introspection_c", "fastcdr",
)  # fmt: skip
NO_COMPILER = 3


@dataclass
class Package:
    """One interface package: its definitions in `source`, what is made of them in `build`.

    files: definitions relative to source. idls: the same as IDL, `FOLDER:RELATIVE`. depends: packages that they use.
    """

    source: Path
    build: Path
    files: list[str]
    idls: list[str] = field(default_factory=list)
    depends: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The package's name is its folder's."""
        return self.source.name

    def code(self, kind: str) -> Path:
        """Where the generated code of one library lies."""
        return self.build / kind / self.name

    def library(self, kind: str) -> Path:
        """The shared library of one kind."""
        return self.build / "lib" / f"lib{self.name}__rosidl_{kind}.so"


def share() -> Path:
    """Where packages lie in this environment."""
    return Path(sys.prefix) / "share"


def digest(source: Path) -> str:
    """Of the definitions and of this generator."""
    total = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        total.update(str(path.relative_to(source)).encode() + path.read_bytes())
    return total.hexdigest()


def up_to_date(source: Path) -> bool:
    """Whether the package is installed here as its definitions are now, or comes from a sourced workspace."""
    spec = importlib.util.find_spec(source.name)
    if spec is not None and spec.origin is not None and not Path(spec.origin).is_relative_to(sys.prefix):
        return True
    stamp = share() / source.name / ".digest"
    return spec is not None and stamp.exists() and stamp.read_text() == digest(source)


def read(source: Path, build: Path) -> Package:
    """Translate the definitions to IDL, and find what they depend on, recursively."""
    from rosidl_cli.command.translate.api import translate

    files = sorted(str(path.relative_to(source)) for kind in KINDS for path in (source / kind).glob(f"*.{kind}"))
    package = Package(source, build, files)
    package.idls = [
        str(idl)
        for idl in translate(
            package_name=package.name,
            interface_files=[f"{source}:{name}" for name in files],
            include_paths=[],
            output_format="idl",
            output_path=build / "idl",
        )
    ]
    used = {name for file in files for name in IMPLICIT.get(Path(file).parent.name, set())}
    used |= set().union(*(_included(Path(idl.replace(":", "/"))) for idl in package.idls))
    known: set[str] = set()
    while pending := used - known - {package.name}:
        known |= pending
        used |= {name for one in pending for idl in (share() / one).rglob("*.idl") for name in _included(idl)}
    package.depends = sorted(known)
    return package


def _included(idl: Path) -> set[str]:
    return set(re.findall(r'#include "(\w+)/', idl.read_text()))


def generate(package: Package) -> None:
    """Write the C and Python code of every library, and the type hashes."""
    from rosidl_cli.command.hash.api import generate_type_hashes
    from rosidl_generator_c.cli import GenerateC
    from rosidl_generator_py.cli import GeneratePython
    from rosidl_typesupport_c.cli import GenerateCTypesupport
    from rosidl_typesupport_fastrtps_c.cli import GenerateFastRTPSCTypesupport
    from rosidl_typesupport_introspection_c.cli import GenerateIntrospectionCTypesupport

    name, idls, include = package.name, package.idls, [str(share() / one) for one in package.depends]
    hashes = generate_type_hashes(
        package_name=name, interface_files=idls, include_paths=include, output_path=package.build / "hash"
    )
    package.hashes = [str(path) for path in hashes]
    for kind in KINDS:  # one call a folder: descriptions are matched by stem, and msg/X may stand beside action/X
        mine = [idl for idl in idls if idl.split(":")[-1].startswith(f"{kind}/")]
        if mine:
            described = [path for path in package.hashes if Path(path).parent.name == kind]
            GenerateC("c").generate(name, mine, include, package.code(GENERATOR), type_description_files=described)
    GenerateFastRTPSCTypesupport("fastrtps_c").generate(name, idls, include, package.code(FASTRTPS))
    GenerateIntrospectionCTypesupport("introspection_c").generate(name, idls, include, package.code(INTROSPECTION))
    both = [f"rosidl_{FASTRTPS}", f"rosidl_{INTROSPECTION}"]  # rmw_fastrtps_cpp reads both
    GenerateCTypesupport("c", typesupport_implementations=both).generate(name, idls, include, package.code(TYPESUPPORT))
    GeneratePython("py", typesupport_implementations=["rosidl_typesupport_c"]).generate(
        name, idls, include, package.code(PYTHON)
    )
    (package.code(PYTHON) / "__init__.py").touch()


def compile_and_link(package: Package) -> None:
    """Make the package's libraries, and the extension module that Python loads."""
    extension = package.code(PYTHON) / f"_{package.name}_s.ep.rosidl_typesupport_c.c"
    sources: dict[str, list[Path]] = {
        kind: sorted(path for path in package.code(kind).rglob("*") if path.suffix in (".c", ".cpp"))
        for kind in (GENERATOR, FASTRTPS, INTROSPECTION, TYPESUPPORT)
    }
    sources[PYTHON] = sorted(package.code(PYTHON).rglob("*_s.c"))
    sources["extension"] = [extension]
    flags = _include_flags(package)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = {
            kind: list(pool.map(lambda path: _compile(package, path, flags), paths)) for kind, paths in sources.items()
        }
    for kind, own in NEEDS.items():
        _link(package, objects[kind], package.library(kind), own)
    module = package.code(PYTHON) / f"{package.name}_s__rosidl_typesupport_c.so"
    _link(package, objects["extension"], module, (PYTHON, TYPESUPPORT, FASTRTPS, GENERATOR))


def _include_flags(package: Package) -> list[str]:
    import numpy

    installed = Path(sys.prefix) / "include"
    folders = [package.code(kind).parent for kind in NEEDS]
    folders += [*sorted(path for path in installed.iterdir() if path.is_dir()), installed]
    folders += [Path(sysconfig.get_paths()["include"]), Path(numpy.get_include())]
    return [f"-I{folder}" for folder in folders]


def _compile(package: Package, source: Path, flags: list[str]) -> str:
    target = package.build / "obj" / (re.sub(r"\W", "_", str(source.relative_to(package.build))) + ".o")
    target.parent.mkdir(exist_ok=True)
    compiler = ["g++", "-std=c++17"] if source.suffix == ".cpp" else ["gcc", "-std=c11", "-D_GNU_SOURCE"]
    _call([*compiler, "-O1", "-fPIC", "-w", *flags, "-c", str(source), "-o", str(target)])
    return str(target)


def _link(package: Package, objects: list[str], target: Path, own: Iterable[str]) -> None:
    """Against `own` libraries of the package, those of its dependencies, and the runtime."""
    target.parent.mkdir(exist_ok=True)
    installed = Path(sys.prefix) / "lib"
    mine = [f"-l{package.library(kind).stem.removeprefix('lib')}" for kind in own]
    theirs = [f"{one}__rosidl_{kind}" for one in package.depends for kind in (*NEEDS, TYPESUPPORT)]
    others = [f"-l{name}" for name in (*theirs, *RUNTIME) if (installed / f"lib{name}.so").exists()]
    folders = [f"-L{package.build / 'lib'}", f"-L{installed}", "-Wl,-rpath,$ORIGIN", f"-Wl,-rpath-link,{installed}"]
    _call(
        [
            "g++",
            "-shared",
            "-o",
            str(target),
            *objects,
            *folders,
            "-Wl,--no-as-needed",
            *mine,
            "-Wl,--as-needed",
            *others,
        ]
    )


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")


def install(package: Package) -> None:
    """Copy libraries, Python package, definitions, headers and index entries into this environment; the digest last."""
    prefix, name = Path(sys.prefix), package.name
    place, python = share() / name, Path(sysconfig.get_paths()["platlib"]) / name
    for library in (package.build / "lib").glob("*.so"):
        shutil.copy2(library, prefix / "lib" / library.name)
    for old in (place, python):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(package.code(PYTHON), python, ignore=shutil.ignore_patterns("*.c"))
    for file in package.files:
        _copy(package.source / file, place / file)
    _copy(package.source / "package.xml", place / "package.xml")
    for folder, pattern in (("idl", "*.idl"), ("hash", "*.json")):
        for path in (package.build / folder).rglob(pattern):
            _copy(path, place / path.relative_to(package.build / folder))
    for kind in (GENERATOR, FASTRTPS, INTROSPECTION, TYPESUPPORT):
        for path in package.code(kind).rglob("*.h"):
            _copy(path, prefix / "include" / name / name / path.relative_to(package.code(kind)))
    index = share() / "ament_index" / "resource_index"
    interfaces = sorted([*package.files, *(idl.split(":")[-1] for idl in package.idls)])
    for resource, text in (("packages", ""), ("rosidl_interfaces", "\n".join(interfaces))):
        (index / resource).mkdir(parents=True, exist_ok=True)
        (index / resource / name).write_text(text)
    (place / ".digest").write_text(digest(package.source))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def missing_tools() -> str:
    """The Debian package that is missing, or an empty text."""
    if shutil.which("gcc") is None or shutil.which("g++") is None:
        return "g++"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        return f"python{sys.version_info.major}.{sys.version_info.minor}-dev"
    return ""


def main() -> int:
    """Generate every package that is not up to date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", type=Path, nargs="+", help="folders of definitions, dependencies first")
    sources = [path.resolve() for path in parser.parse_args().packages]
    os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
    wanted = [source for source in sources if not up_to_date(source)]
    if wanted and (missing := missing_tools()):
        print(f"genmsg: {', '.join(path.name for path in wanted)} need a compiler: install {missing}.", file=sys.stderr)
        return NO_COMPILER
    logging.disable(logging.WARNING)  # the wheels declare each of their entry points twice
    for source in wanted:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as build:
            with contextlib.redirect_stdout(io.StringIO()):  # every file read and written
                package = read(source, Path(build))
                generate(package)
            compile_and_link(package)
            install(package)
        print(f"genmsg: {package.name}: {len(package.files)} interfaces in {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
