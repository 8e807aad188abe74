"""A world where every judgement can be checked: which response has each digit right?

    query       flip, add 3: a4b7c1d9
    responses   a8b5c1d3, a8b5c1d4
    judgement   Specific Criteria: flip, add 3 (100%)
                Analysis: flip: a5b2c8d0, add 3: a8b5c1?d4
                Response 1: a=b=c=dx
                Response 2: a=b=c=d=
                Scores: \\boxed{6, 9}

The principle names the operations, the critique does them one after the other and marks each response digit by digit,
and a score is 9 less 3 for each mark. `demonstration` is a careless teacher's: where the responses disagree it
sometimes believes one of them instead of working the digit out, and mostly where that one forgot the second operation.
So it is right three times in five; some items it gets wrong most of the time, which no vote can mend; and its text
shows what it only believed, by a question mark: that is what a meta RM can learn. Told the best response, it believes
no other: from such demonstrations a judge learns to take a hint.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import product
from random import Random
from typing import Any

from modeling_grm.data.spct import HINT, hinted
from modeling_grm.prompts_grm import render
from modeling_grm.toys import byte_tokenizer
from modeling_grm.types_grm import Prompt, Request

TEMPLATE = "{conversation}\n{responses}"
PLACES = "abcd"  # each digit's place is written beside it, and both are one token: a small model finds it at once
LENGTHS, COUNTS = (3, 4), (2, 2, 3)
SLIP, TEMPTED = 0.25, 0.95
"""How often the teacher believes a response at a digit where they disagree: any of them, and one that forgot the second
operation."""
SIGNS = "0123456789=x"
SIMPLE = ("flip", "double", "add 1", "add 5")
PHRASES = (
    "user\n", "assistant\n",
    "\n[The Begin of Response 1]\n",
    *(f"\n[The End of Response {i}]\n[The Begin of Response {i + 1}]\n" for i in (1, 2)),
    *(f"\n[The End of Response {i}]\n" for i in (2, 3)),
    *(f"\nResponse {i}: " for i in range(1, 4)),
    "Specific Criteria: ", " (100%)\nAnalysis: ", "\nScores: \\boxed{", ", ", ": ", *SIMPLE,
    *(f"{place}{sign}" for place in PLACES for sign in SIGNS),
    "Please score the responses.\n\n#### Conversation Context ####\n", "\n#### Responses to be Scored ####\n",
)  # fmt: skip
"""What is one token of its own; the last two are the meta RM's prompt."""


def tokenizer(hints: bool = False) -> Any:
    """One token a digit, one for each phrase of the world; the hint's among them where there are any."""
    return byte_tokenizer((*PHRASES, f"\n\n{HINT.format(j='')}") if hints else PHRASES)


def compose(embeddings: Any, words: Any) -> None:
    """Let each place's token with its sign begin as the sum of the two, (vocabulary, width) in place.

    A model from random weights would need most of its steps to find that `a4` and `a7` are of one place.
    """
    rows = {pair: words.convert_tokens_to_ids("".join(pair)) for pair in product(PLACES, SIGNS)}
    parts = {part: embeddings[words.convert_tokens_to_ids(part)].clone() for part in PLACES + SIGNS}
    for (place, sign), row in rows.items():
        embeddings[row] = parts[place] + parts[sign]


def _applied(operation: str, digit: int) -> int:
    if operation == "flip":
        return 9 - digit
    return digit * 2 % 10 if operation == "double" else (digit + int(operation.split()[1])) % 10


def _steps(operations: list[str], digits: list[int]) -> list[list[int]]:
    """The digits after each operation."""
    found = []
    for operation in operations:
        digits = [_applied(operation, digit) for digit in digits]
        found.append(digits)
    return found


def _tempting(random: Random, operations: list[str], given: int, right: int) -> int:
    """A wrong digit that somebody may well write: an operation forgotten, or one off."""
    forgotten = [_steps(kept, [given])[-1][0] for kept in (operations[:-1], operations[1:]) if kept] or [given]
    return random.choice([digit for digit in (*forgotten, (right + 1) % 10, (right - 1) % 10) if digit != right])


def _text(digits: list[int]) -> str:
    return "".join(f"{place}{digit}" for place, digit in zip(PLACES, digits, strict=False))


def _digits(text: str) -> list[int]:
    return [int(sign) for sign in text if sign.isdigit()]


def item(random: Random, most: int = 2) -> dict[str, Any]:
    """One item: a conversation, its responses in a random order, the right one's index, and what a judge works out.

    Args:
        random: where its choices come from.
        most: operations.
    """
    operations = [random.choice(SIMPLE) for _ in range(random.choice(range(1, most + 1)))]
    given = [random.randrange(10) for _ in range(random.choice(LENGTHS))]
    steps, count = _steps(operations, given), random.choice(COUNTS)
    right = steps[-1]
    responses = {_text(right)}
    while len(responses) < count:
        wrong = list(right)
        for at in random.sample(range(len(given)), random.choice((1, 1, 2))):
            wrong[at] = _tempting(random, operations, given[at], right[at])
        responses.add(_text(wrong))
    shown = sorted(responses)
    random.shuffle(shown)
    name = ", ".join(operations)
    query = f"{name}: {_text(given)}"
    return {
        "id": f"{query} {' '.join(shown)}",
        "conversation": [{"role": "user", "content": query}],
        "responses": shown,
        "best": shown.index(_text(right)),
        "source": "tiny world",
        "licence": "apache-2.0",
        "meta": {"operations": name, "steps": [_text(step) for step in steps]},
    }


def judgement(row: dict[str, Any], steps: list[str], order: list[int]) -> str:
    """What is written by somebody whose operations gave these digits, of the responses in this order."""
    marks = [_marks(row["responses"][at], steps[-1]) for at in order]
    lines = "".join(f"\nResponse {number}: {mark}" for number, mark in enumerate(marks, 1))
    scores = ", ".join(str(max(1, 9 - 3 * mark.count("x"))) for mark in marks)
    operations = row["meta"]["operations"]
    done = ", ".join(f"{name}: {step}" for name, step in zip(operations.split(", "), steps, strict=True))
    return f"Specific Criteria: {operations} (100%)\nAnalysis: {done}{lines}\nScores: \\boxed{{{scores}}}"


def _marks(response: str, answer: str) -> str:
    pairs = zip(PLACES, _digits(response), _digits(answer), strict=False)
    return "".join(f"{place}{'=' if a == b else 'x'}" for place, a, b in pairs)


def careless(random: Random, row: dict[str, Any]) -> list[str]:
    """The digits after each operation, as the teacher works them out, or believes: those have a question mark."""
    steps = row["meta"]["steps"]
    right = _digits(steps[-1])
    before = _digits(steps[-2]) if len(steps) > 1 else [-1] * len(right)
    seen = zip(*map(_digits, row["responses"]), strict=True)
    believed = [_believed(random, *at) for at in zip(before, right, seen, strict=True)]
    places = zip(PLACES, right, believed, strict=False)
    return [*steps[:-1], "".join(f"{at}{own}" if taken is None else f"?{at}{taken}" for at, own, taken in places)]


def _believed(random: Random, before: int, right: int, seen: tuple[int, ...]) -> int | None:
    """The digit that the teacher takes from a response, None where it works the digit out."""
    if before != right and before in seen and random.random() < TEMPTED:
        return before
    return random.choice(seen) if len(set(seen)) > 1 and random.random() < SLIP else None


def demonstration(random: Random, row: dict[str, Any], told: float = 0.0) -> dict[str, Any]:
    """A row for the cold start: `prompt` and `completion` as chat messages.

    Args:
        random: where its choices come from.
        row: an item.
        told: how often the prompt names the best response, as hinted sampling does.
    """
    order = random.sample(range(len(row["responses"])), len(row["responses"]))
    request = Request(row["conversation"], row["responses"])
    prompt = Prompt(render(request, order, TEMPLATE), tuple(order), seed=0)
    named = bool(told) and random.random() < told
    text = judgement(row, row["meta"]["steps"] if named else careless(random, row), order)
    return {
        "prompt": list((hinted(prompt, row["best"]) if named else prompt).messages),
        "completion": [{"role": "assistant", "content": text}],
        "source": row["source"],
        "licence": row["licence"],
    }


def items(seed: int, count: int, without: Collection[str] = (), most: int = 2) -> Iterator[dict[str, Any]]:
    """That many different items of up to `most` operations, none of them among `without` (their ids)."""
    random, seen = Random(f"tiny world {seed}"), set(without)
    while count:
        row = item(random, most)
        if row["id"] not in seen:
            seen.add(row["id"])
            count -= 1
            yield row
