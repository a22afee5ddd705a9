import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
from robot_rl.nets.compile import enable_compile_cache, use_one_thread
use_one_thread()
print(enable_compile_cache())
import jax, jax.numpy as jnp
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
print(float(jax.jit(lambda x: jnp.sin(x) * 2)(1.0)))
"""


def test_compiled_functions_are_kept_in_the_users_cache_folder(tmp_path: Path):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    folder = tmp_path / "robot_rl" / "jax"
    assert result.stdout.splitlines()[0] == str(folder)
    assert any(folder.iterdir())
