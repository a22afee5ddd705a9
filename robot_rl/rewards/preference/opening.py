"""Whoever compares, as the configuration names them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from robot_rl.rewards.preference.chat import ChatModel
from robot_rl.rewards.preference.configuration import LabelConfig
from robot_rl.rewards.preference.judges import Judge, Questions, VlmJudge
from robot_rl.rewards.preference.store import Cache


def open_judge(
    config: LabelConfig,
    folder: Path,
    total: int,
    stopped: Callable[[], bool],
    tell: Callable[[str], None],
    port: int = 0,
) -> AbstractContextManager[Judge]:
    """A context with the judge. folder: of the answers; total: comparisons that a person is told of.

    stopped: asked while a person is waited for. tell: gets the address of their page, on `port` or any free one.
    Raises `ConfigError` where it cannot be had.
    """
    if config.judge == "human":
        from robot_rl.rewards.preference.human import HumanJudge

        judge = HumanJudge(config.task, total, port, stopped)
        tell(f"compare here: {judge.url}")
        return judge
    if config.judge == "local":
        from robot_rl.rewards.preference.local import LocalModel

        return nullcontext(VlmJudge(Questions(LocalModel(config), Cache(folder)), config))
    return nullcontext(VlmJudge(Questions(ChatModel(config, folder=folder), Cache(folder)), config))
