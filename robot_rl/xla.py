"""How XLA runs here. No JAX in this file: its flags are read from the environment before JAX is imported."""

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
"""XLA_FLAGS for small networks, which are no slower on one thread than on two."""


def with_one_thread(flags: str) -> str:
    """Somebody's XLA_FLAGS, and one thread unless they say how many. Behind these XLA reads no further flag."""
    return flags if "xla_cpu_multi_thread_eigen" in flags else f"{flags} {ONE_THREAD}".strip()
