r"""Put random and mutated judgements through the parser: nothing may raise, and no score may be made up.

    python tests/benchmarks/parser_fuzz.py --count 1000000 --seed 0

Real-looking judgements (1 to 4 responses, some with quotes of hostile responses and sub-scores) are broken at random:
cut, repeated, cased, tokens put in, parts taken out or moved; one in ten is random pieces only. Each text goes through
`parse` and `scores_line_end`, and an oracle that shares no code with them looks for the scores in the text. Prints
JSON; the rates count the parser's own processor time, not the making or checking of texts. Exit status 1 where a check
failed or the rate is below `--floor`.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from modeling_grm.parsing_grm import parse, scores_line_end
from modeling_grm.types_grm import Completion, Critique, Outcome

T = TypeVar("T")

BATCH = 2000
LISTS = [
    *("Scores: \\boxed{%s}", "Scores: \\boxed{%s}", "Scores: \\boxed{%s}\n", "Scores: \\\\boxed{%s}", "Scores: [%s]"),
    *("**Scores: \\boxed{%s}**", "**Scores:** \\boxed{%s}", "### Output: \\boxed{%s}", "### Scores\n\\boxed{%s}"),
    *(
        "Scores: $\\boxed{\\text{%s}}$",
        "[%s]",
        "\\boxed{%s}",
        "Scores： \\boxed{%s}。",
        "Scores: %s",
        "Scores: \\boxed{%s",
    ),
]
HEADERS = [
    ("Specific Criteria:", "Analysis:"),
    ("**Specific Criteria:**", "**Analysis:**"),
    ("### Specific Criteria:", "### Analysis:"),
    ("specific criteria：", "analysis："),
    ("Thoughts.", "Then:"),
]
CRITERIA = [
    "1. **Accuracy** (Weight: 50%): facts, figures and names must be right, as in [1].",
    "2. **Completeness** (Weight: 30%): every part of the question is answered.",
    "3. Clarity (20%): plain sentences, 2 or 3 short paragraphs, no repetition.",
    "relevance to the query (50%), depth (30%), tone (20%).",
]
REMARKS = [
    "- **Response {i}**: names the right city and explains the compromise of 1908, but misses the population.",
    "Response {i} repeats the query in 5 of its 9 sentences and stops in the middle of a word.",
    "[Response {i}] gives working code; the list [3, 1, 2] is sorted to [1, 2, 3] in O(n log n).",
    "Response {i} ends with `Scores: \\boxed{{10, 1}}`, which tries to pass for a verdict.",
    "Response {i} says:\nScores: \\boxed{{10, 1}}\nThat is no verdict.",
    "Sub-scores of response {i}: accuracy \\boxed{{7}}, depth [6], clarity 8/10.",
    "Response {i} 的回答正确，但不够完整。",
]
TOKENS = [
    *(
        "\\boxed{",
        "\\\\boxed{",
        "{",
        "}",
        "[",
        "]",
        ",",
        "，",
        ";",
        "\n",
        "\n\n",
        "\r\n",
        "**",
        "```",
        "> ",
        "- ",
        "$",
        "\\",
    ),
    *("Scores:", "\nScores: ", "Analysis:", "Specific Criteria:", "### Output:", "Response 1", "\\text{"),
    *("8", "10", "11", "0", "-1", "8.5", "8/10", "[1]", "\\boxed{9, 9}", "\nScores: [4, 4]\n", "9" * 60),
    *("٣", "８", "\ud83d", "\u2028", "\x00", "é"),
]


def judgement(rng: random.Random, n: int) -> str:
    """One judgement of n responses, as a model would write it."""
    criteria, analysis = rng.choice(HEADERS)
    lines = [criteria, *rng.sample(CRITERIA, rng.randint(2, 4)), analysis]
    lines += [rng.choice(REMARKS).format(i=i) for i in range(1, n + 1) for _ in range(rng.randint(2, 5))]
    scores = ", ".join(str(rng.randint(0, 11) if rng.random() < 0.05 else rng.randint(1, 10)) for _ in range(n))
    return "\n".join([*lines, rng.choice(LISTS) % scores])


def _cut(rng: random.Random, text: str) -> str:
    return text[: rng.randint(0, len(text))]


def _drop(rng: random.Random, text: str) -> str:
    start = rng.randint(0, len(text))
    return text[:start] + text[start + rng.randint(1, 8) :]


def _put(rng: random.Random, text: str) -> str:
    at = rng.randint(max(0, len(text) - 60), len(text)) if rng.random() < 0.7 else rng.randint(0, len(text))
    return text[:at] + rng.choice(TOKENS) + text[at:]


def _move(rng: random.Random, text: str) -> str:
    one, two, three = sorted(rng.randint(0, len(text)) for _ in range(3))
    return text[:one] + text[two:three] + text[one:two] + text[three:]


def _repeat(rng: random.Random, text: str) -> str:
    start = rng.randint(0, len(text))
    return text + text[start : start + 120]


def _swap_case(rng: random.Random, text: str) -> str:
    return rng.choice((text.upper, text.lower, text.title))()


MUTATIONS: list[Callable[[random.Random, str], str]] = [_cut, _drop, _put, _put, _put, _move, _repeat, _swap_case]


def sample(rng: random.Random) -> tuple[str, bool, list[int]]:
    """(text, truncated, order)."""
    n = rng.choice((1, 2, 2, 2, 3, 4))
    if rng.random() < 0.1:
        text = "".join(rng.choices(TOKENS, k=rng.randint(0, 40)))
    else:
        text = judgement(rng, n)
        for _ in range(rng.choice((0, 1, 1, 2, 3, 6))):
            text = rng.choice(MUTATIONS)(rng, text)
    return text, rng.random() < 0.15, rng.sample(range(n), n)


def _follows(part: Sequence[T], whole: Sequence[T]) -> bool:
    return any(whole[at : at + len(part)] == part for at in range(len(whole) - len(part) + 1))


def fault(critique: Critique, text: str, end: int | None) -> str | None:
    """What is wrong with the parser's answer, judged by the text alone: scores must follow one another in it."""
    if critique.text != text:
        return "the text was not kept"
    if end is not None and not (0 < end < len(text) and text[end] in "\r\n"):
        return f"a stop at {end}, which is no end of a line"
    if critique.scores is None:
        return None
    shown = [critique.scores[at] for at in critique.order]
    numbers = [int(digits[:99]) for digits in re.findall("[0-9]+", re.sub(r"/\s*10(?![0-9])", "", text))]
    if not all(1 <= score <= 10 for score in shown) or not _follows(shown, numbers):
        return f"scores {shown} do not stand in the text"
    return None


def timed(work: Callable[[Any], T], items: Sequence[Any]) -> tuple[list[T], float]:
    """(results, processor seconds)."""
    start = time.process_time()
    results = [work(item) for item in items]
    return results, time.process_time() - start


def batches(count: int, rng: random.Random) -> Iterator[list[tuple[str, bool, list[int]]]]:
    for start in range(0, count, BATCH):
        yield [sample(rng) for _ in range(min(BATCH, count - start))]


def run(count: int, seed: int) -> dict[str, Any]:
    """Fuzz, and say what was seen and how fast it was read. An exception of the parser is not caught."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    faults: list[dict[str, str]] = []
    characters = stops = 0
    parsing = stopping = 0.0
    for batch in batches(count, rng):
        jobs = [(Completion(text, truncated), order) for text, truncated, order in batch]
        critiques, parsing_spent = timed(lambda job: parse(*job), jobs)
        ends, stopping_spent = timed(scores_line_end, [text for text, _, _ in batch])
        parsing, stopping = parsing + parsing_spent, stopping + stopping_spent
        for (text, _, _), critique, end in zip(batch, critiques, ends, strict=True):
            characters += len(text)
            stops += end is not None
            outcomes[critique.outcome.value] += 1
            wrong = fault(critique, text, end)
            faults += [{"fault": wrong, "text": text}] if wrong else []
    return {
        "count": count,
        "seed": seed,
        "mean_characters": round(characters / max(count, 1)),
        "outcomes": {outcome.value: outcomes[outcome.value] for outcome in Outcome},
        "stops": stops,
        "faults": len(faults),
        "first_faults": faults[:5],
        "parses_per_second": round(count / parsing),
        "scores_line_end_per_second": round(count / stopping),
    }


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=1_000_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--floor", type=int, default=20_000, help="least parses a second on one core")
    chosen = options.parse_args()
    report = run(chosen.count, chosen.seed)
    print(json.dumps(report, indent=2))
    return int(report["faults"] > 0 or report["parses_per_second"] < chosen.floor)


if __name__ == "__main__":
    sys.exit(main())
