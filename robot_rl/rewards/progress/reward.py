"""Success by a vision-language model's word, as a run's reward: 1 where a picture shows the task done."""

from __future__ import annotations

from controllers.interface import Reading
from robot_rl.exceptions import DataError
from robot_rl.rewards.base import RewardResult
from robot_rl.rewards.preference.clips import moment_picture
from robot_rl.rewards.progress.configuration import ProgressConfig
from robot_rl.rewards.progress.model import ProgressModel


class ProgressReward:
    """Asks of each reading and waits for the answer; what goes on meanwhile is `rewards.late`'s affair."""

    source = "progress"

    def __init__(self, model: ProgressModel, config: ProgressConfig) -> None:
        self._model, self._config = model, config

    def __call__(self, reading: Reading) -> RewardResult:
        """A picture without an answer shows no success. DataError: the reading has no pictures."""
        if not reading.images:
            raise DataError("the reading holds no pictures; reward progress looks at them: --obs pixels, or features")
        picture = moment_picture(reading.images, self._config.camera, self._config.largest)
        progress = self._model.progress(picture) or 0.0
        success = progress >= self._config.success
        return RewardResult(float(success), success, progress)
