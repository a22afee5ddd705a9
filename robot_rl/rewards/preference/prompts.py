"""What a vision-language model is asked, and what its answers mean (RL-VLM-F, Wang et al., 2024, arXiv 2402.03681).

Two stages: first it describes both pictures and how they differ with regard to the goal; then, from that text alone, it
answers 0 (the first is nearer the goal), 1 (the second), or -1 (no difference, or not sure).
"""

from __future__ import annotations

import re

SYSTEM = "You judge pictures of a robot at work. Be brief and precise."
FIRST, SECOND, UNSURE = 0, 1, -1


def describe(task: str) -> str:
    """Stage 1, shown with both pictures."""
    return (
        f"The goal is: {task}\n"
        "1. What is shown in Image 1?\n2. What is shown in Image 2?\n"
        "3. Is the goal better achieved in Image 1 or in Image 2? Say what differs with regard to the goal."
    )


def decide(task: str, description: str) -> str:
    """Stage 2, shown with the answer to stage 1."""
    return (
        f"The goal is: {task}\nSomebody compared two pictures:\n\n{description}\n\n"
        "Is the goal better achieved in Image 1 or in Image 2? Reply with a single line that holds 0 if it is in "
        "Image 1, 1 if it is in Image 2, and -1 if the text is unsure or there is no difference."
    )


def decide_at_once(task: str) -> str:
    """The only stage of one, shown with both pictures."""
    return (
        f"The goal is: {task}\nIs the goal better achieved in Image 1 or in Image 2? Reply with a single line that "
        "holds 0 if it is in Image 1, 1 if it is in Image 2, and -1 if you are unsure or there is no difference."
    )


def parse_choice(text: str) -> int | None:
    """The last line that is an answer and nothing else; None where there is none: prose, a refusal."""
    for line in reversed(text.strip().splitlines()):
        bare = re.sub(r"(?i)^\W*(answer|preference|label)\W*[:=]", "", line.strip()).strip(" .*`'\"()[]{}")
        if bare in ("0", "1", "-1"):
            return int(bare)
        if bare:
            return None
    return None
