"""A bar for what takes its time, on standard error; nothing where that is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY = 64
"""Steps between two looks of the bar."""

Tell = Callable[[int], None]


@contextmanager
def bar(text: str, total: int | None) -> Iterator[Tell]:
    """A function to tell how much is done, of `total` where that is known."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(text, total=total)

        def tell(done: int) -> None:
            if done % EVERY == 0 or done == total:
                shown.update(task, completed=done)

        yield tell
