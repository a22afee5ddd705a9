import dataclasses

import numpy as np

from controllers.arms.franka.config import FrankaConfig
from controllers.arms.franka.plan import Plan
from controllers.models import arm_model
from tasks.peg_insert.task import SPEC


def test_a_plan_survives_json_bit_by_bit():
    limits = arm_model("fr3").limits.lowered(force=33.3)
    plan = Plan.of(FrankaConfig("127.0.0.1", payload_mass=0.1), limits, SPEC, lockstep=True)
    back = Plan.from_json(plan.to_json())
    assert back.config == plan.config
    assert back.lockstep
    for name in ("limits", "gains", "workspace"):
        ours, theirs = getattr(plan, name), getattr(back, name)
        for field in dataclasses.fields(ours):
            if field.name == "maker":
                assert (theirs.maker.velocity == arm_model("fr3").limits.velocity).all()
                continue
            assert np.array_equal(getattr(ours, field.name), getattr(theirs, field.name)), field.name
    assert (back.home == plan.home).all()
    assert (back.start == plan.start).all()
    there, here = back.controller(), plan.controller()
    assert there.arrays.tobytes() == here.arrays.tobytes()
