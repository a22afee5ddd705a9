"""What is compiled in one test run is loaded in the next, as in production; `make distclean` removes it."""

import os
from pathlib import Path

from robot_rl.nets.compile import enable_compile_cache

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[2] / ".jax_cache"))
enable_compile_cache()
