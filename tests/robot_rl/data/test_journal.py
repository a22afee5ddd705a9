import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

from robot_rl.data import mcap_file
from robot_rl.data.codec import decode
from robot_rl.data.journal import Journal, JournalReader, read_journal
from robot_rl.data.label import Label
from robot_rl.data.mcap_file import END
from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError, DiskError
from tests.robot_rl.data import episodes


def write(folder, transitions, images=False):
    with Journal(folder, episodes.schema(images), sync=False) as journal:
        for transition in transitions:
            journal.append(transition)


def equal(found, wanted):
    return all(episodes.same(left, right) for left, right in zip(found, wanted, strict=True))


@pytest.fixture(autouse=True)
def nobody_writes(monkeypatch):
    """What is torn here is not being written: it need not be looked at again."""
    monkeypatch.setattr(mcap_file, "SETTLE", 0.0)


@pytest.mark.parametrize("images", [False, True])
def test_what_was_appended_comes_back_over_all_openings(tmp_path, images):
    made = list(episodes.stream(20, images))
    for start, stop in pairwise((0, 7, 7, 15, 20)):
        with Journal(tmp_path, episodes.schema(images)) as journal:
            assert journal.next_sequence == start
            for transition in made[start:stop]:
                journal.append(transition)
            assert len(journal.sync_seconds) == stop - start
            assert (0 < journal.sync_p99 < 10) if stop > start else journal.sync_p99 == 0
    assert len(list(tmp_path.iterdir())) == 4
    assert equal(read_journal(tmp_path), made)
    for start in range(21):
        assert equal(read_journal(tmp_path, start), made[start:])


@pytest.mark.parametrize("images", [False, True])
def test_labels_lie_among_the_transitions_in_their_order(tmp_path, images):
    made = list(episodes.judged(20, images))
    with Journal(tmp_path, episodes.schema(images), sync=False) as journal:
        for record in made[:11]:
            journal.append(record)
    with Journal(tmp_path, episodes.schema(images), sync=False) as journal:
        for record in made[11:]:
            journal.append(record)
    reader = JournalReader(tmp_path)
    assert reader.next_sequence == len(made) == 26
    assert equal(reader.read(), [record for record in made if isinstance(record, Transition)])
    assert equal(map(reader.record, range(26)), made)
    for start in range(27):
        assert equal(reader.records(start), made[start:])
    assert reader.episodes() == 5
    with pytest.raises(DataError, match="record 3 .* is a label"):
        reader.transition(3)
    assert equal((decode(reader.message(k, whole=True), reader.schema) for k in range(26)), made)


def test_steps_are_counted_apart_from_labels(tmp_path):
    made = list(episodes.judged(9, every=2))
    with Journal(tmp_path, episodes.schema(), sync=False) as journal:
        for count, record in enumerate(made, 1):
            journal.append(record)
            assert journal.steps == sum(isinstance(one, Transition) for one in made[:count])
    reader = JournalReader(tmp_path)
    assert (reader.steps, reader.next_sequence) == (9, 13)
    path = tmp_path / "00000.mcap"
    path.write_bytes(path.read_bytes()[: -len(END) - 1])  # the last record is torn: a step
    assert JournalReader(tmp_path).steps == 8
    with Journal(tmp_path, episodes.schema(), sync=False) as journal:
        assert (journal.steps, journal.next_sequence) == (8, 12)


def test_a_record_in_the_channel_of_another_kind_is_damage(tmp_path):
    write(tmp_path, list(episodes.judged(4, every=2)))
    path = tmp_path / "00000.mcap"
    with Journal(tmp_path, episodes.schema(), sync=False) as journal:
        start = journal._files[0].starts[2]
    content = bytearray(path.read_bytes())
    channel = start - mcap_file.MESSAGE.size + 9
    assert content[channel] == mcap_file.LABEL
    content[channel] = mcap_file.TRANSITION
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"record 2 in .*channel of another kind"):
        list(JournalReader(tmp_path).records())


def test_a_journal_of_version_1_is_read_and_gone_on_with(tmp_path):
    """The file was written by the last release that knew no `clamped` and no labels."""
    made = list(episodes.stream(9, images=True, seed=3, clamps=False))
    shutil.copy(Path(__file__).parent / "files" / "version1.mcap", tmp_path / "00000.mcap")
    assert equal(read_journal(tmp_path), made)
    schema = episodes.schema(images=True)
    more = [dataclasses.replace(record, sequence=9 + record.sequence) for record in episodes.judged(5, images=True)]
    with Journal(tmp_path, schema) as journal:
        assert journal.episodes() == 3
        for record in more:
            journal.append(record)
    reader = JournalReader(tmp_path)
    assert reader.schema == schema
    assert equal(reader.records(), [*made, *more])
    for sequence in range(reader.next_sequence):  # on the wire there is one version
        previous = reader.record(sequence - 1) if sequence else None
        message = reader.message(sequence)
        assert episodes.same(decode(message, schema, previous), reader.record(sequence))  # type: ignore[arg-type]


def test_a_file_explains_itself(tmp_path):
    write(tmp_path, episodes.stream(1))
    with (tmp_path / "00000.mcap").open("rb") as stream:
        summary = [channel for _, channel, _ in make_reader(stream).iter_messages()]
    members = {member["name"]: member for member in json.loads(summary[0].metadata["members"])}
    assert members["clamped"] | {"note": ""} == {
        "name": "clamped", "shape": [2], "dtype": "float32", "unit": "m, rad", "note": "",
    }  # fmt: skip
    assert members["stamp"]["unit"] == "s"
    assert members["observation_tool_position"]["note"] == "over 0.05 m"
    assert all(member["unit"] for name, member in members.items() if member["dtype"].startswith("float"))


def test_a_frame_is_stored_once(tmp_path):
    made = list(episodes.stream(40, images=True, length=40))
    write(tmp_path, made, images=True)
    reader = JournalReader(tmp_path)
    first, second = len(reader.message(0)), len(reader.message(1))
    assert first - second > 90  # 6 x 5 x 3 bytes that do not compress
    assert len(reader.message(1, whole=True)) == pytest.approx(first, abs=8)
    assert episodes.same(reader.transition(17), made[17])


def test_public_tools_read_a_journal_that_is_being_written(tmp_path):
    made = list(episodes.stream(5, images=True))
    journal = Journal(tmp_path, episodes.schema(images=True))
    for transition in made:
        journal.append(transition)
    path = tmp_path / "00000.mcap"
    with path.open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        messages = [message for *_, message in reader.iter_decoded_messages()]
    assert [message.sequence for message in messages] == list(range(5))
    assert messages[3].action == made[3].action.tolist()
    highlevel = pytest.importorskip("rosbags.highlevel")
    with highlevel.AnyReader([path]) as reader:
        read = [(time, reader.deserialize(raw, kind.msgtype)) for kind, time, raw in reader.messages()]
    assert [time for time, _ in read] == [int(transition.next_stamp * 1e9) for transition in made]
    assert read[4][1].observation_tool_position.tolist() == made[4].observation["tool_position"].tolist()
    assert bytes(read[4][1].next_observation_wrist[:4]) == b"\x89PNG"
    journal.close()


def test_public_tools_read_labels(tmp_path):
    made = list(episodes.judged(7, images=True))
    with Journal(tmp_path, episodes.schema(images=True)) as journal:
        for record in made:
            journal.append(record)
            with (tmp_path / "00000.mcap").open("rb") as stream:  # complete after each append
                reader = make_reader(stream, decoder_factories=[DecoderFactory()])
                read = [(channel.topic, message.sequence) for _, channel, _, message in reader.iter_decoded_messages()]
            topics = ["/label" if isinstance(record, Label) else "/transition" for record in made]
            assert read == list(zip(topics, range(record.sequence + 1), strict=False))
    labels = [record for record in made if isinstance(record, Label)]
    with (tmp_path / "00000.mcap").open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        found = [message for *_, message in reader.iter_decoded_messages(topics=["/label"])]
    names = [field.name for field in dataclasses.fields(Label)]
    assert [[getattr(message, name) for name in names] for message in found] == [
        [getattr(label, name) for name in names] for label in labels
    ]
    highlevel = pytest.importorskip("rosbags.highlevel")
    with highlevel.AnyReader([tmp_path / "00000.mcap"]) as bag:
        assert {kind.topic for kind in bag.connections} == {"/transition", "/label"}
        kinds = [kind for kind in bag.connections if kind.topic == "/label"]
        read = [bag.deserialize(raw, kind.msgtype) for kind, _, raw in bag.messages(connections=kinds)]
    assert [(message.kind, message.step, message.value) for message in read] == [
        (label.kind, label.step, label.value) for label in labels
    ]


def test_it_counts_the_episodes_begun(tmp_path):
    made = list(episodes.stream(10, images=True, length=4))
    with Journal(tmp_path, episodes.schema(images=True), sync=False) as journal:
        counts = [journal.episodes()]
        for transition in made:
            journal.append(transition)
            counts.append(journal.episodes())
    assert counts == [0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3]
    assert JournalReader(tmp_path).episodes() == 3


def test_one_schema_one_writer_no_holes(tmp_path):
    first, second, third = episodes.stream(3)
    with Journal(tmp_path, episodes.schema()) as journal:
        journal.append(first)
        for wrong in (first, third):
            with pytest.raises(DataError, match="wants record 1"):
                journal.append(wrong)
        with pytest.raises(DataError, match="another process"):
            Journal(tmp_path, episodes.schema())
        journal.append(second)
    with pytest.raises(DataError, match="task 'reach'"):
        Journal(tmp_path, episodes.schema(task="other"))
    with pytest.raises(DataError, match="no record 2"):
        JournalReader(tmp_path).message(2)


def test_a_full_disk_is_told_and_harms_nothing(tmp_path, caplog):
    made = list(episodes.stream(4))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal(tmp_path, episodes.schema()) as journal:
        for transition in made[:3]:
            journal.append(transition)
        size = (tmp_path / "00000.mcap").stat().st_size
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))
            with pytest.raises(DiskError, match=r"00000\.mcap cannot be written"):
                journal.append(made[3])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert equal(read_journal(tmp_path), made[:3])
        assert caplog.records == []
        with (tmp_path / "00000.mcap").open("rb") as stream:  # for other programs too
            assert len(list(make_reader(stream).iter_messages())) == 3
        journal.append(made[3])
    assert equal(read_journal(tmp_path), made)


WRITER = """
import sys
from pathlib import Path
from robot_rl.data.journal import Journal
from tests.robot_rl.data import episodes
with Journal(Path(sys.argv[1]), episodes.schema()) as journal:
    for transition in episodes.stream(100_000):
        journal.append(transition)
        print(transition.sequence, flush=True)
"""


def test_kill_9_loses_nothing_that_append_returned_for(tmp_path):
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(50):
            writer.stdout.readline()
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read().split()
    promised = int(rest[-1]) if rest else 49
    found = list(read_journal(tmp_path))
    assert promised < len(found) <= promised + 2
    assert equal(found, episodes.stream(len(found)))
