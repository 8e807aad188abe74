"""The Space with a scripted judge: the same page, queue and API, with judgements that are known beforehand.

    python tests/space_scripted.py

Sample j of each request waits `DELAY` seconds; one of eight is unreadable, one contradicts the others, and one holds
HTML. The meta RM distrusts the contradicting one.
"""

from __future__ import annotations

import os
import time
from typing import Any

from space_files import SPACE  # noqa: F401 (makes the Space's modules importable)
from transformers import pipeline

from modeling_grm import Fake, Prompt

from app import build, launch  # isort: skip
from judge import Judge  # isort: skip

DELAY = float(os.environ.get("SCRIPTED_DELAY", "0.15"))
EVIL = "<img src=x onerror=\"document.title='owned'\">{{7*7}}${7*7}"


def judgement(prompt: Prompt) -> str:
    """Likes the caller's last response most; by its number a sample errs in a known way."""
    time.sleep(DELAY)
    n, turn = len(prompt.order), prompt.sample % 8
    if turn == 5:
        return "Specific Criteria: I would rather talk about something else."
    scores = [9 - (at if turn == 2 else n - 1 - at) * 6 // n - turn % 2 for at in prompt.order]
    best = prompt.order.index(n - 1) + 1
    said = (
        EVIL if turn == 3 else f"Response {best} answers what was asked and stops when it has; the others do so less."
    )
    return (
        "Specific Criteria: answers the question (60%), true to the facts (30%), easy to read (10%).\n"
        f"Analysis: {said}\nScores: \\boxed{{{', '.join(map(str, scores))}}}"
    )


def rate(judged: Any) -> list[float | None]:
    """Trusts what prefers the last response."""
    return [None if c.scores is None else (2.1 if c.scores[-1] == max(c.scores) else -4.2) for _, c in judged]


if __name__ == "__main__":
    task: Any = "reward-scoring"
    launch(build(Judge(pipeline(task, model=Fake(judgement)), meta_model="org/a-meta-rm", meta=rate)))
