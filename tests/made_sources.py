"""Source files of the contrast set and the pools, made from nothing: the names and columns of the real ones.

python tests/made_sources.py     writes those of recipes/data/smoke.yaml
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

Row = dict[str, Any]
_NOUNS = ("garden", "river", "market", "teacher", "window", "bridge", "kitchen", "letter", "engine", "forest", "story")
_VERBS = ("opens", "keeps", "follows", "brings", "needs", "finds", "shows", "changes", "covers", "holds")
_ENDS = ("slowly, every day", "near the old town", "with great care", "in the early morning", "for many years", "there")


def _sentence(random: Random) -> str:
    first, second = random.sample(_NOUNS, 2)
    side = f", and the {random.choice(_NOUNS)} {random.choice(_VERBS)} it" if random.random() < 0.4 else ""
    return f"The {first} {random.choice(_VERBS)} the {second} {random.choice(_ENDS)}{side}."


def _essay(random: Random) -> str:
    return " ".join(_sentence(random) for _ in range(random.randint(5, 12)))


def _open_row(at: int, random: Random) -> Row:
    ask = f"Tell me about {random.choice(_NOUNS)} number {at} and its {random.choice(_NOUNS)}."
    return _row(at, ask, [_essay(random), _essay(random)], [8.5, 8.0] if at % 2 else [8.5, 3.0])


def _question_row(at: int, random: Random) -> Row:
    ask = f"What does the {random.choice(_NOUNS)} of house {at} do?\nContext that is not shown"
    return _row(at, ask, [_essay(random) for _ in range(4)], [4, 3, 2, 1])


def _math_row(at: int, random: Random) -> Row:
    a, b = random.randint(2, 60), random.randint(2, 60)
    ask = f"Ann has {a} pens and buys {b} more in week {at}. How many pens has she?"
    working = f"Ann has {a} pens at first.\nShe buys {b} more, so that is {a}+{b}=<<{a}+{b}={a + b}>>{a + b} pens."
    return _row(at, ask, [f"{working}\n#### {a + b}"], [1]) | {"reference": str(a + b)}


def _harmless_row(at: int, random: Random) -> Row:
    ask = f"May I keep a {random.choice(_NOUNS)} in box {at}?"
    return _row(at, ask, [_sentence(random), _sentence(random)], [0, 1])


def _row(at: int, ask: str, responses: list[str], labels: list[float]) -> Row:
    best = labels.index(max(labels)) if len(labels) == 2 else None
    turns = [{"role": "user", "content": ask}]
    row = {"id": f"made-{at}", "conversation": turns, "responses": responses, "labels": labels, "best": best}
    return row | {"source": "made", "subset": "made", "license": "MIT"}


def _solved_row(at: int, random: Random) -> Row:
    a, b = random.randint(2, 60), random.randint(2, 60)
    ask = f"A box weighs {a} and another {b}; what do {at} of each weigh?"
    right = f"1. Both weigh {a + b}.\n\n2. So {at} of each weigh ${at * (a + b)}$."
    aside = ", as it seems to me now" if at % 2 else ""
    wrong = f"1. Both weigh {a + b + 1}{aside}.\n\n2. So {at} weigh ${at * (a + b + 1)}$."
    pair = [right, wrong] if at % 3 else [wrong, right]
    return _row(at, ask, pair, [1, 0] if at % 3 else [0, 1]) | {"subset": ("circular", "deception")[at % 2]}


def _demo_row(at: int, random: Random) -> Row:
    row = _row(at, f"Write about the {random.choice(_NOUNS)} {at}.", [_essay(random), _essay(random)], [1, 0])
    return row | {"subset": "dpo_zh_demo" if at % 2 else "dpo_en_demo"}


MADE: dict[str, tuple[Callable[[int, Random], Row], int]] = {
    "ultrafeedback_sample.jsonl.gz": (_open_row, 260),
    "qa_feedback_dev.jsonl.gz": (_question_row, 120),
    "gsm8k_problems.jsonl.gz": (_math_row, 160),
    "hh_rlhf_harmless_test.jsonl.gz": (_harmless_row, 160),
    "prmbench_pairs.jsonl.gz": (_solved_row, 160),
    "llamafactory_dpo_demo.jsonl.gz": (_demo_row, 240),
}


def made_lines(name: str) -> str:
    """A file's lines."""
    make, count = MADE[name]
    random = Random(name)
    return "".join(json.dumps(make(at, random)) + "\n" for at in range(count))


def write_sources(folder: Path) -> Path:
    """Files with the names and the columns of the real ones."""
    for name in MADE:
        (folder / name).write_bytes(gzip.compress(made_lines(name).encode(), mtime=0))
    return folder


if __name__ == "__main__":
    write_sources(Path(__file__).resolve().parent.parent / "recipes" / "data" / "smoke")
