"""Steps as robomimic's HDF5 (`robot_rl.data.formats.robomimic` has the layout).

`dones` is 1 where the task ended (`terminated`), as robomimic stops bootstrapping there. What robomimic does not know
stands beside it in each demonstration: policy_actions, terminated, truncated, success, intervened, stamps (s).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.formats.hdf5 import library
from robot_rl.data.formats.whole import Progress, Written, whole
from robot_rl.data.schema import Field, Schema
from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError

FILE = "demos.hdf5"
GYM = 2
"""robomimic's number of environments that follow Gym."""
BLOCK = 128
"""Steps that are in memory at a time."""
_COLUMNS = {
    "rewards": ("reward", np.float64),
    "dones": ("terminated", np.int64),
    "terminated": ("terminated", np.bool_),
    "truncated": ("truncated", np.bool_),
    "success": ("success", np.bool_),
    "intervened": ("intervened", np.bool_),
    "stamps": ("stamp", np.float64),
}


def export_robomimic(
    schema: Schema, steps: Iterable[Transition], folder: Path, rate: float, progress: Progress | None = None
) -> Written:
    """Write DIR/demos.hdf5, a demonstration for each episode; as a whole or not at all. Raises `DataError`."""
    h5py = library()
    names: list[str] = []
    succeeded: list[str] = []
    total = 0
    with whole(folder) as part, h5py.File(part / FILE, "w") as file:
        data = file.create_group("data")
        demo: _Demo | None = None
        for step in steps:
            if demo is None or demo.episode != step.episode:
                if demo is not None:
                    demo.close()
                names.append(f"demo_{len(names)}")
                demo = _Demo(data.create_group(names[-1]), schema, step.episode)
            demo.add(step)
            if step.success and (not succeeded or succeeded[-1] != names[-1]):
                succeeded.append(names[-1])
            total += 1
            if progress is not None:
                progress(total)
        if demo is None:
            raise DataError(f"there is no step to write to {folder}")
        demo.close()
        data.attrs["total"] = total
        about = {"env_name": schema.task, "env_version": "", "type": GYM, "env_kwargs": {"control_freq": rate}}
        data.attrs["env_args"] = json.dumps(about)
        data.attrs["robot_rl_schema"] = schema.to_json()
        if succeeded:
            file["mask/success"] = np.array(succeeded, "S")
    return Written(total, len(names), 0)


class _Demo:
    """One demonstration that grows by the block."""

    def __init__(self, group: Any, schema: Schema, episode: str) -> None:
        self.episode = episode
        self._group, self._schema = group, schema
        self._steps: list[Transition] = []
        self._count = 0
        group.attrs["episode"] = episode
        self._arrays = {
            name: self._array(name, Field(name, (), np.dtype(kind).name)) for name, (_, kind) in _COLUMNS.items()
        }
        for name in ("actions", "policy_actions"):
            self._arrays[name] = self._array(name, Field(name, (len(schema.actions),)))
        for where in ("obs", "next_obs"):
            for field in schema.observation:
                self._arrays[f"{where}/{field.message_name}"] = self._array(f"{where}/{field.message_name}", field)

    def _array(self, name: str, field: Field) -> Any:
        picture = field.is_image
        return self._group.create_dataset(
            name,
            shape=(0, *field.shape),
            maxshape=(None, *field.shape),
            dtype=field.dtype,
            chunks=(1 if picture else 256, *field.shape),
            **({"compression": "gzip", "compression_opts": 1} if picture else {}),
        )

    def add(self, step: Transition) -> None:
        self._steps.append(step)
        if len(self._steps) == BLOCK:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._group.attrs["num_samples"] = self._count

    def _flush(self) -> None:
        if not self._steps:
            return
        for name, (attribute, kind) in _COLUMNS.items():
            self._put(name, np.array([getattr(step, attribute) for step in self._steps], kind))
        self._put("actions", np.stack([step.action for step in self._steps]))
        self._put("policy_actions", np.stack([step.policy_action for step in self._steps]))
        for field in self._schema.observation:
            name = field.message_name
            self._put(f"obs/{name}", np.stack([step.observation[field.name] for step in self._steps]))
            self._put(f"next_obs/{name}", np.stack([step.next_observation[field.name] for step in self._steps]))
        self._count += len(self._steps)
        self._steps.clear()

    def _put(self, name: str, rows: NDArray) -> None:
        array = self._arrays[name]
        array.resize(self._count + len(rows), axis=0)
        array[self._count :] = rows
