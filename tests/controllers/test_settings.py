from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml

from controllers import settings
from controllers.exceptions import SettingsError
from controllers.settings import build, option, plain, required, suggest


@dataclass(frozen=True)
class Lens:
    """Inner settings that check themselves."""

    serial: str = required("number on the housing")
    size: tuple[int, int] = option((64, 48), "pixels")

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise SettingsError(f"size is {self.size}, but must be positive.")


@dataclass(frozen=True)
class Rig:
    """Outer settings, with every kind of field."""

    name: str = required("what people call it")
    kind: Literal["twin", "real"] = option("twin", "what moves")
    load: float | None = option(None, "kg")
    main: Lens | None = option(None, "the lens in use")
    lenses: Mapping[str, Lens] = option({}, "lenses by name")
    spare: tuple[Lens, ...] = option((), "spare lenses")
    files: Mapping[str, Path] = option({}, "files by name")
    plain: Lens = field(default_factory=lambda: Lens("default"))


def test_nested_values_become_the_classes_with_defaults_beneath():
    values = {
        "name": "a",
        "load": "1.5",
        "main": {"serial": 12},
        "lenses": {"wrist": {"serial": "w", "size": [8, 9]}},
        "spare": [{"serial": "s"}],
        "files": {"hand_eye": "x/y.yaml"},
    }
    rig = build(Rig, values, "rig.yaml")
    assert rig.main == Lens("12", (64, 48))
    assert rig.lenses == {"wrist": Lens("w", (8, 9))}
    assert rig.spare == (Lens("s"),)
    assert rig.files == {"hand_eye": Path("x/y.yaml")}
    assert (rig.load, rig.kind, rig.plain) == (1.5, "twin", Lens("default"))


def test_what_is_written_reads_back_the_same():
    rig = Rig("a", main=Lens("m"), lenses={"w": Lens("w")}, spare=(Lens("s"),), files={"f": Path("f.yaml")})
    assert build(Rig, yaml.safe_load(yaml.safe_dump(plain(rig))), "again") == rig


@pytest.mark.parametrize(
    "values, message",
    [
        ({"nam": "a"}, r"unknown key nam; did you mean name\? Choices: name, kind"),
        ({"name": "a", "kind": "twinn"}, r"kind: 'twinn' is not a choice; did you mean twin\?"),
        ({}, r"name is missing; it says: what people call it"),
        ({"name": "a", "lenses": {"w": {"serail": 1}}}, r"unknown key lenses\.w\.serail; did you mean serial\?"),
        ({"name": "a", "lenses": {"w": {}}}, r"lenses\.w\.serial is missing"),
        ({"name": "a", "lenses": 3}, r"lenses must be a mapping"),
        ({"name": "a", "lenses": {"w": 3}}, r"lenses\.w must be a mapping"),
        ({"name": "a", "spare": {"serial": 3}}, r"spare must be a list"),
        ({"name": "a", "spare": [{"size": 3, "serial": 1}]}, r"spare\[0\]\.size: 3 is not a list"),
        ({"name": "a", "main": {"serial": 1, "size": [1, 2, 3]}}, r"main\.size: 3 values are given, but it takes 2"),
        ({"name": "a", "main": {"serial": 1, "size": [0, 2]}}, r"main\.size is \(0, 2\), but must be positive"),
        ({"name": "a", "load": "much"}, r"load: 'much' is not a number"),
        ([1], "the file must be a mapping"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_file_and_the_key(values, message):
    with pytest.raises(SettingsError, match=message) as caught:
        build(Rig, values, "rig.yaml")
    assert str(caught.value).startswith("rig.yaml: ")
    assert "\n" not in str(caught.value)


def test_none_is_said_in_yaml():
    assert build(Rig, {"name": "a", "main": None, "load": None}, "rig.yaml").main is None


def test_files_that_do_not_read(tmp_path):
    with pytest.raises(SettingsError, match=r"there is no cell file .*gone\.yaml; look again"):
        settings.read_yaml(tmp_path / "gone.yaml", "cell file", "look again")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(SettingsError, match="is not YAML"):
        settings.read_yaml(tmp_path / "bad.yaml", "cell file", "look again")
    (tmp_path / "empty.yaml").write_text("")
    assert settings.read_yaml(tmp_path / "empty.yaml", "cell file", "look again") == {}


def test_suggest_names_the_near_one_and_all():
    assert suggest("rpld", ["rlpd", "sac"]) == "did you mean rlpd? Choices: rlpd, sac"
    assert suggest("zzz", ["rlpd", "sac"]) == "choices: rlpd, sac"
