import os
import subprocess
import sys
from pathlib import Path

import jax

from robot_rl.nets.compile import enable_compile_cache, take_memory_as_needed

VARIABLE = "JAX_COMPILATION_CACHE_DIR"
SCRIPT = """
from robot_rl.nets.compile import enable_compile_cache, use_one_thread
use_one_thread()
print(enable_compile_cache())
import jax, jax.numpy as jnp
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
print(float(jax.jit(lambda x: jnp.sin(x) * 2)(1.0)))
"""


def test_compiled_functions_are_kept_in_the_users_cache_folder(tmp_path: Path):
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    environment |= {"XDG_CACHE_HOME": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    folder = tmp_path / "robot_rl" / "jax"
    assert result.stdout.splitlines()[0] == str(folder)
    assert any(folder.iterdir())


def test_jaxs_own_variable_says_where_else(tmp_path: Path, monkeypatch):
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    assert enable_compile_cache() == tmp_path / "mine"
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "mine")
    enable_compile_cache(Path(before) if before else None)


def test_memory_is_taken_as_needed_unless_a_person_said_otherwise(monkeypatch):
    name = "XLA_PYTHON_CLIENT_PREALLOCATE"
    monkeypatch.setenv(name, "true")
    take_memory_as_needed()
    assert os.environ[name] == "true"
    monkeypatch.delenv(name)
    take_memory_as_needed()
    assert os.environ[name] == "false"
