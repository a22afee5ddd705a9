import os
import sys

import numba

from controllers import compiled


def test_each_state_of_the_sources_has_a_folder_of_its_own(tmp_path):
    (tmp_path / "law.py").write_text("@njit: gain = 1")
    before = compiled._digest(tmp_path)
    (tmp_path / "law.py").write_text("@njit: gain = 2")
    assert compiled._digest(tmp_path) != before


def test_numba_keeps_its_code_there_and_only_the_newest_states(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(numba.config, "CACHE_DIR", numba.config.CACHE_DIR)
    home = tmp_path / "robot_rl" / "numba"
    for age in range(12):
        old = home / f"old{age}"
        old.mkdir(parents=True)
        os.utime(old, (age, age))
    compiled.keep_compiled_code()
    kept = {entry.name for entry in home.iterdir()}
    assert len(kept) == compiled.KEPT
    assert "old11" in kept
    assert "old0" not in kept
    assert os.environ["NUMBA_CACHE_DIR"] == sys.modules["numba"].config.CACHE_DIR
    assert os.environ["NUMBA_CACHE_DIR"].startswith(str(home))


def test_a_place_that_the_person_names_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    compiled.keep_compiled_code()
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path)
