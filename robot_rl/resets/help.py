"""A person who puts things right before an episode: asked for, waited for, and given up."""

from __future__ import annotations

import time
from collections.abc import Callable

from controllers.exceptions import ResetFailed
from robot_rl.resets.configuration import ResetConfig


class Help:
    """Whether a person has to do something before the next episode, who then says `resume`.

    task: its name. tell: hears, in a sentence, what is asked. clock: s.
    """

    def __init__(
        self,
        config: ResetConfig,
        task: str,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._task, self._tell, self._clock = config, task, tell, clock
        self._wanted = config.person == "always"
        self._why = ""
        self._asked: float | None = None

    def wanted(self) -> bool:
        """Whether a pause has to begin: asks the person, once, in the call that says so. `resumed` ends the waiting."""
        if self._wanted and self._asked is None:
            why = self._why or f"put the scene of {self._task} as an episode needs it"
            self._asked = self._clock()
            self._tell(f"{why}; then resume (waiting {self._config.patience:g} s)")
            return True
        return False

    def check(self) -> None:
        """Raise `ResetFailed` where the person was waited for in vain."""
        if self._asked is not None and self._clock() - self._asked > self._config.patience:
            why = self._why or f"the scene of {self._task} was to be put right"
            raise ResetFailed(
                f"{why}; nobody did within {self._config.patience:g} s: do that, then go on with --resume"
            )

    def resumed(self) -> None:
        """The person has said so, or nobody was asked: an episode may begin."""
        self._wanted, self._asked, self._why = False, None, ""

    def began(self) -> None:
        """An episode has begun: what holds for the next one."""
        self._wanted = self._config.person == "always"

    def failed(self, error: ResetFailed) -> None:
        """A reset has. Raises it again where nobody is to be asked."""
        if self._config.person == "none":
            raise error
        self._wanted, self._why = True, str(error).rsplit(", then go on", 1)[0]
