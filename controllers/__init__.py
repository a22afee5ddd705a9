"""Everything that moves or senses: the control law, the safety filter, arms, grippers, cameras, the twin."""

from controllers.compiled import keep_compiled_code

keep_compiled_code()
