import dataclasses
import json

import pytest

from robot_rl.cli import main
from robot_rl.data.journal import Journal, JournalReader
from robot_rl.data.label import Label
from tests.robot_rl.data import episodes
from tests.robot_rl.data.formats import samples

COMMANDS = ["info", "verify", "audit", "export", "import", "merge", "trim"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def said(capsys):
    """Runs a command: exit code, standard output, standard error."""

    def run(*arguments):
        try:
            code = main(["data", *map(str, arguments)])
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def write(folder, count=16, seed=0, labels=()):
    with Journal(folder, episodes.schema(images=True), sync=False) as journal:
        for record in [*episodes.stream(count, images=True, seed=seed), *labels]:
            journal.append(dataclasses.replace(record, sequence=journal.next_sequence))
    return folder


def test_help_names_every_command_and_every_command_has_help(said):
    code, out, _ = said("--help")
    assert code == 0 and all(f"    {name} " in out for name in COMMANDS)
    assert said()[1] == out
    for name in COMMANDS:
        code, out, _ = said(name, "--help")
        assert code == 0 and out.startswith(f"usage: robot-rl data {name} ")


def test_info_of_a_set(said, tmp_path):
    folder = write(tmp_path / "set")
    code, out, _ = said("info", folder, "--json")
    about = json.loads(out)
    assert code == 0
    assert (about["kind"], about["task"], about["steps"], about["episodes"]) == ("experience", "reach", 16, 4)
    assert (about["successes"], about["observation"]["wrist"]) == (2, "uint8 (6, 5, 3)")
    code, out, _ = said("info", folder, "--episodes")
    assert code == 0 and "0-0-3" in out and "truncated" in out


def test_info_of_foreign_data(said, tmp_path):
    samples.robomimic(tmp_path / "demo.hdf5")
    about = json.loads(said("info", "demo.hdf5", "--json")[1])
    assert (about["kind"], about["steps"], about["task"]) == ("robomimic", 15, "Lift")
    samples.minari(tmp_path / "maze")
    assert json.loads(said("info", "maze", "--json")[1])["kind"] == "minari"
    samples.bag(tmp_path / "bag", [(0.0, "/a", samples.flag(True)), (1.0, "/a", samples.flag(True))])
    assert json.loads(said("info", "bag", "--json")[1])["topics"] == {"/a": "std_msgs/msg/Bool"}
    write(tmp_path / "set")
    assert said("export", "set", "lerobot", "--format", "lerobot", "--fps", "10")[0] == 0
    about = json.loads(said("info", "lerobot", "--json")[1])
    assert (about["kind"], about["episodes"]) == ("lerobot", 4)


def test_verify_says_where_and_exits_with_one(said, tmp_path):
    folder = write(tmp_path / "set")
    assert said("verify", folder)[:2] == (0, "16 steps in 4 episodes, 0 labels: 0 faults, 0 warnings\n")
    with Journal(folder, episodes.schema(images=True), sync=False) as journal:
        journal.append(dataclasses.replace(next(episodes.stream(1, images=True, seed=9)), sequence=16, step=3))
    code, out, _ = said("verify", folder)
    assert code == 1
    assert "fault    episode 9-0-0, step 3: steps 0 to 2 are missing" in out
    code, out, _ = said("verify", folder, "--json")
    found = json.loads(out)
    assert code == 1 and not found["ok"]
    assert [(item["kind"], item["episode"], item["step"]) for item in found["findings"]] == [("hole", "9-0-0", 3)]


def test_verify_names_broken_files_and_torn_tails(said, tmp_path):
    folder = write(tmp_path / "set")
    path = folder / "00000.mcap"
    content = path.read_bytes()
    path.write_bytes(content[:-60])
    code, out, err = said("verify", folder)
    assert (code, err) == (0, "") and "warning" in out and "torn" in out
    assert said("verify", folder, "--strict")[0] == 1
    half = len(content) // 2
    path.write_bytes(content[:half] + bytes(50) + content[half + 50 :])
    code, out, _ = said("verify", folder, "--json")
    assert code == 1 and json.loads(out)["findings"][0]["kind"] == "damaged"
    assert str(path) in json.loads(out)["findings"][0]["text"]


def test_verify_reads_foreign_data_too(said, tmp_path):
    samples.robomimic(tmp_path / "demo.hdf5")
    assert said("verify", "demo.hdf5")[0] == 0
    write(tmp_path / "set")
    said("export", "set", "out", "--format", "lerobot", "--fps", "10", "--lossless")
    assert said("verify", "out")[1].startswith("16 steps in 4 episodes")
    (tmp_path / "out" / "meta" / "info.json").write_text("{")
    code, out, _ = said("verify", "out")
    assert code == 1 and "info.json" in out


@pytest.mark.parametrize("form", ["lerobot", "mcap", "hdf5"])
def test_export(said, tmp_path, form):
    write(tmp_path / "set")
    code, out, _ = said("export", "set", "out", "--format", form, "--dry-run")
    assert code == 0 and "nothing was written" in out and not (tmp_path / "out").exists()
    code, out, _ = said("export", "set", "out", "--format", form, "--fps", "10")
    assert (code, out) == (0, "16 steps: out\n")
    code, _, err = said("export", "set", "out", "--format", form)
    assert code == 2 and "out exists already" in err


def test_import_for_a_task_and_what_it_says(said, tmp_path):
    samples.robomimic(tmp_path / "demo.hdf5")
    code, out, _ = said("import", "demo.hdf5", "in", "--dry-run")
    assert code == 0 and "about 15 steps" in out and not (tmp_path / "in").exists()
    code, out, _ = said("import", "demo.hdf5", "in", "--resize", "4,3", "--rate", "5")
    assert code == 0 and "15 steps: in" in out and "note: left out: agentview_depth" in out
    reader = JournalReader(tmp_path / "in")
    assert {field.name: field.shape for field in reader.schema.observation}["agentview_image"] == (4, 3, 3)
    code, _, err = said("import", "demo.hdf5", "other", "--task", "reach")
    assert code == 2 and "none of the observations can be used" in err and not (tmp_path / "other").exists()
    code, _, err = said("import", "demo.hdf5", "in")
    assert code == 2 and "nothing is overwritten" in err
    code, _, err = said("import", "in", "again")
    assert code == 2 and "needs no import" in err


def test_what_was_exported_is_demonstrations_of_its_task_again(said, tmp_path):
    import tasks
    from robot_rl.data.demos import Demonstrations
    from robot_rl.envs.observation import Observer

    observer = Observer(tasks.load("reach"))
    schema, seen = observer.schema(), observer.example()
    with Journal(tmp_path / "demos", schema, sync=False) as journal:
        for step in episodes.stream(8):
            action = step.action[:1].repeat(len(schema.actions))
            journal.append(
                dataclasses.replace(step, observation=seen, next_observation=seen, action=action, policy_action=action)
            )
    assert said("export", "demos", "out", "--format", "hdf5")[0] == 0
    names = {field.name: field.message_name for field in schema.observation}
    (tmp_path / "map.yaml").write_text(json.dumps({"observation": names}))
    for more in ([], ["--task", "reach"], ["--task", "reach", "--map", "map.yaml"]):
        code, out, _ = said("import", "out/demos.hdf5", f"in{len(more)}", *more)
        assert code == 0 and f"robot-rl train reach --obs state --demos in{len(more)}" in out
        assert len(Demonstrations(tmp_path / f"in{len(more)}", schema)) == 8


def test_merge_and_trim(said, tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b", seed=1, labels=[Label("p", 0, 1.0, "1-0-0", -1, "human", 1, "discard", 1.0)])
    code, out, _ = said("merge", "a", "b", "c", "--dry-run")
    assert code == 0 and "33 records of 2 sets in c" in out and not (tmp_path / "c").exists()
    assert said("merge", "a", "b", "c")[1] == "32 steps, 8 episodes, 1 labels: c\n"
    assert said("trim", "c", "d", "--discarded", "--dry-run")[1].startswith("7 of 8 episodes of c in d")
    assert said("trim", "c", "d", "--discarded", "--drop-failures", "--episodes", "0-5")[1].startswith("8 steps, 2 ep")
    assert said("verify", "d")[0] == 0
    code, _, err = said("trim", "c", "e")
    assert code == 2 and "say what stays" in err
    code, _, err = said("merge", "a", "c")
    assert code == 2 and "two sets or more" in err


BAD = [
    (["imprt"], "unknown command 'data imprt'; did you mean import?"),
    (["info"], "`robot-rl data info` needs PATH"),
    (["info", "nowhere"], "there is no nowhere"),
    (["info", "."], "holds nothing of a known format; known: a run, a journal"),
    (["verify", "nowhere"], "there is no nowhere"),
    (["export", "nowhere", "out", "--format", "mcap"], "nowhere does not exist; name a run"),
    (["export", "a", "out"], "needs --format"),
    (["export", "a", "out", "--format", "csv"], "choose from"),
    (["export", "a", "out", "--format", "mcap", "--fp", "5"], "unknown option --fp; did you mean --fps?"),
    (["import", "x.hdf5", "in", "--resize", "64"], "--resize is '64', but must be a height and a width"),
    (["import", "x.hdf5", "in", "--rate", "0"], "'0' is no rate in Hz"),
    (["import", "x.hdf5", "in", "--map", "no.yaml"], "the map no.yaml cannot be read"),
    (["import", "x.hdf5", "in", "--task", "reech"], "did you mean 'reach'?"),
    (["trim", "a", "b", "--episodes", "0", "extra"], "unexpected argument 'extra'"),
]


@pytest.mark.parametrize("arguments, text", BAD)
def test_mistakes_are_one_sentence(said, arguments, text):
    code, out, err = said(*arguments)
    assert (code, out) == (2, "")
    assert text in err and err.startswith("robot-rl: ") and err.count("\n") == 1
