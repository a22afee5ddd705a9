"""A process of its own for what must not be disturbed: started with shared memory, asked by number, watched."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any

from controllers.arms.franka import shared
from controllers.arms.franka.shared import Memory, text_of
from controllers.exceptions import ArmLatched, CellTimeout, CommandRejected, ControllersError

ERRORS = {shared.REJECTED: CommandRejected, shared.IS_LATCHED: ArmLatched, shared.REFUSED: ControllersError}
GRACE = 3.0
"""Given to a process to end by itself, s."""


class Gone(ControllersError):
    """The process has ended, or hangs and was ended."""


class Child:
    """`python -m MODULE` beside the cell. It gets the memory, a bell for requests and one for answers."""

    def __init__(self, module: str, memory: Memory, plan: str) -> None:
        self.memory = memory
        self._bell, self._answered = (os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(2))
        fds = (memory.fd, self._bell, self._answered)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, fds), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # the libraries greet there
            pass_fds=fds,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # ended already: the first request says so
            self._process.stdin.write(plan.encode())
            self._process.stdin.close()
        self._exit = os.pidfd_open(self._process.pid)
        self._open: tuple[int, ...] = (self._bell, self._answered, self._exit)
        self._poll = select.poll()
        for fd in (self._answered, self._exit):
            self._poll.register(fd, select.POLLIN)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def how_it_ended(self) -> str:
        """In words, for a process that is not alive."""
        code = self._process.poll()
        if code is None:
            return "still runs"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def ask(self, timeout: float, **fields: Any) -> None:
        """Send one request and wait for its answer. Raises what it says, `Gone`, or `CellTimeout`."""
        request, answer = self.memory.request, self.memory.answer
        for name, value in fields.items():
            request[name] = value
        number = int(request["number"][0]) + 1
        request["number"] = number
        os.eventfd_write(self._bell, 1)
        self._await(number, timeout)
        status = int(answer["status"][0])
        if status != shared.DONE:
            raise ERRORS[status](text_of(answer["text"][0]))

    def _await(self, number: int, timeout: float) -> None:
        end = time.monotonic() + timeout
        while int(self.memory.answer["number"][0]) != number:
            left = end - time.monotonic()
            if left <= 0:
                raise CellTimeout(f"the driver process did not answer within {timeout:g} s: recover the arm.")
            for fd, _ in self._poll.poll(left * 1e3):
                if fd == self._answered:
                    os.eventfd_read(self._answered)
                elif int(self.memory.answer["number"][0]) != number:
                    raise Gone(f"the driver process {self.how_it_ended()}")

    def end(self) -> None:
        """Give it time to end by itself, then make it; release what belongs to it."""
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.kill()
        for fd in self._open:
            os.close(fd)
        self._open = ()

    def terminate(self) -> None:
        """Tell it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it now; the robot stops by itself when no commands come."""
        self._process.kill()
        self._process.wait()
