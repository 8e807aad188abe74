"""A benchmark in a folder and a scripted judge, for the tests of `grm bench` and of reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from modeling_grm.types_grm import Completion, Prompt

GOOD, OTHER = "zebra", "walrus"  # words that no template has
SUBSETS = ("Natural", "Adversarial_Neighbor", "Adversarial_GPTInst", "Adversarial_GPTOut", "Adversarial_Manual")
EACH = 6  # rows a subset


def llmbar_row(subset: str, at: int) -> dict[str, Any]:
    """A pair whose right response has the good word; the right one stands first in every other."""
    texts = [f"a {GOOD} answer {at}", f"some {OTHER} answer {at}"][:: 1 - 2 * (at % 2)]
    return {"input": f"{subset} question {at}?", "output_1": texts[0], "output_2": texts[1], "label": 1 + at % 2}


def write_llmbar(folder: Path, keep: Callable[[int], bool] = lambda _: True, backwards: bool = False) -> Path:
    """A folder with LLMBar's columns: 6 rows in each of 5 subsets, some of them, in either direction."""
    folder.mkdir(parents=True, exist_ok=True)
    for subset in SUBSETS:
        rows = [llmbar_row(subset, at) for at in range(EACH) if keep(at)]
        text = "".join(json.dumps(row) + "\n" for row in (reversed(rows) if backwards else rows))
        (folder / f"llmbar-{subset}.jsonl").write_text(text, encoding="utf-8")
    return folder


def scored(prompt: Prompt) -> Completion:
    """Likes the good word by 3 points, with noise of the prompt's own seed; every 16th says nothing."""
    text, noise = prompt.messages[-1]["content"], Random(prompt.seed)
    first = text.index(GOOD) < text.index(OTHER)
    scores = [min(10, max(1, 5 + 3 * (first == (slot == 0)) + noise.randint(-3, 3))) for slot in range(2)]
    said = "no idea" if prompt.seed % 16 == 0 else f"Scores: \\boxed{{{scores[0]}, {scores[1]}}}"
    return Completion(said, prompt_tokens=40, completion_tokens=100 + noise.randint(0, 9))


def verdict(prompt: Prompt) -> Completion:
    """Names the response with the good word, mostly."""
    text = prompt.messages[-1]["content"]
    first = text.index(GOOD) < text.index(OTHER)
    right = 1 if first else 2
    named = 3 - right if prompt.seed % 4 == 0 else right
    return Completion("I wonder." if prompt.seed % 16 == 1 else f"Scores: \\boxed{{{named}}}", completion_tokens=7)


class Counting:
    """A judge that says how often it was asked, and may break down."""

    def __init__(self, said: Callable[[Prompt], Completion] = scored, most: int | None = None) -> None:
        self.said, self.most, self.asked = said, most, 0

    def __call__(self, prompt: Prompt) -> Completion:
        if self.asked == self.most:
            raise RuntimeError("the power went")
        self.asked += 1
        return self.said(prompt)


def without(report: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A report without some of what stands at its top."""
    return {name: value for name, value in report.items() if name not in names}
