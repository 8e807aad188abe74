"""A world where every judgement can be checked: which response has each digit right?

    query       flip, add 3: a4b7c1d9e0
    responses   a8b5c1d3e2, a8b5c1d4e2
    judgement   Specific Criteria: flip, add 3 (100%)
                Analysis: a8b5c1d3e2
                Response 1: a=b=c=d=e=
                Response 2: a=b=c=dxe=
                Scores: \\boxed{9, 6}

The principle names the operations, the critique works the answer out and marks each response digit by digit, and a
score is 9 less 3 for each mark. `demonstration` is a careless teacher's: where the responses disagree it sometimes
believes one of them instead of working the digit out, and mostly where that one forgot the second operation. So it is
right two times in three; some items it gets wrong most of the time, which no vote can mend; and its text shows where it
was careless.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from random import Random
from typing import Any

from modeling_grm.prompts_grm import render
from modeling_grm.toys import byte_tokenizer
from modeling_grm.types_grm import Request

TEMPLATE = "{conversation}\n{responses}"
PLACES = "abcdef"  # each digit's place is written beside it, and both are one token: a small model finds it at once
LENGTHS, COUNTS = (4, 5, 6), (2, 2, 3, 4)
SLIP, TEMPTED = 0.25, 0.65
"""How often the teacher believes a response at a digit where they disagree: any of them, and one that forgot the second
operation."""
SIMPLE = ("flip", "double", *(f"add {d}" for d in range(1, 10)))
PHRASES = (
    *(f"[The {end} of Response {i}]\n" for i in range(1, 5) for end in ("Begin", "End")),
    *(f"\nResponse {i}: " for i in range(1, 5)),
    "Specific Criteria: ", " (100%)\nAnalysis: ", "\nScores: \\boxed{", ", ", "flip", "double", "add ", ": ",
    *(f"{place}{sign}" for place in PLACES for sign in "0123456789=x"),
    "Please score the responses.\n\n#### Conversation Context ####\n", "\n#### Responses to be Scored ####\n",
)  # fmt: skip
"""What is one token of its own; the last two are the meta RM's prompt."""


def tokenizer() -> Any:
    """One token a digit, one for each phrase of the world."""
    return byte_tokenizer(PHRASES)


def _applied(operation: str, digit: int) -> int:
    if operation == "flip":
        return 9 - digit
    return digit * 2 % 10 if operation == "double" else (digit + int(operation.split()[1])) % 10


def _answer(operations: list[str], digits: list[int]) -> list[int]:
    for operation in operations:
        digits = [_applied(operation, digit) for digit in digits]
    return digits


def _tempting(random: Random, operations: list[str], given: int, right: int) -> int:
    """A wrong digit that somebody may well write: an operation forgotten, or one off."""
    forgotten = [_answer(kept, [given])[0] for kept in (operations[:-1], operations[1:])]
    return random.choice([digit for digit in (*forgotten, (right + 1) % 10, (right - 1) % 10) if digit != right])


def _text(digits: list[int]) -> str:
    return "".join(f"{place}{digit}" for place, digit in zip(PLACES, digits, strict=False))


def _digits(text: str) -> list[int]:
    return [int(digit) for digit in text[1::2]]


def item(random: Random) -> dict[str, Any]:
    """One item: a conversation, its responses in a random order, the right one's index, and what a judge works out."""
    operations = [random.choice(SIMPLE) for _ in range(random.choice((1, 2)))]
    given = [random.randrange(10) for _ in range(random.choice(LENGTHS))]
    right, count = _answer(operations, given), random.choice(COUNTS)
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
        "meta": {"operations": name, "answer": _text(right)},
    }


def judgement(row: dict[str, Any], answer: str, order: list[int]) -> str:
    """What is written by somebody who worked out this answer, of the responses in this order."""
    marks = [_marks(row["responses"][at], answer) for at in order]
    lines = "".join(f"\nResponse {number}: {mark}" for number, mark in enumerate(marks, 1))
    scores = ", ".join(str(max(1, 9 - 3 * mark.count("x"))) for mark in marks)
    opening = f"Specific Criteria: {row['meta']['operations']} (100%)\nAnalysis: {answer}"
    return f"{opening}{lines}\nScores: \\boxed{{{scores}}}"


def _marks(response: str, answer: str) -> str:
    pairs = zip(PLACES, _digits(response), _digits(answer), strict=False)
    return "".join(f"{place}{'=' if a == b else 'x'}" for place, a, b in pairs)


def careless(random: Random, row: dict[str, Any]) -> str:
    """The answer that the teacher works out."""
    return _text([_worked_out(random, row, at) for at in range(len(_digits(row["meta"]["answer"])))])


def _worked_out(random: Random, row: dict[str, Any], at: int) -> int:
    operations, right = row["meta"]["operations"].split(", "), _digits(row["meta"]["answer"])[at]
    seen = [_digits(response)[at] for response in row["responses"]]
    given = _digits(row["conversation"][-1]["content"].rpartition(" ")[2])[at]
    forgot = _answer(operations[:-1], [given])[0]
    if len(operations) > 1 and forgot != right and forgot in seen and random.random() < TEMPTED:
        return forgot
    return random.choice(seen) if len(set(seen)) > 1 and random.random() < SLIP else right


def demonstration(random: Random, row: dict[str, Any]) -> dict[str, Any]:
    """A row for the cold start: `prompt` and `completion` as chat messages."""
    order = random.sample(range(len(row["responses"])), len(row["responses"]))
    request = Request(row["conversation"], row["responses"])
    text = judgement(row, careless(random, row), order)
    return {
        "prompt": list(render(request, order, TEMPLATE)),
        "completion": [{"role": "assistant", "content": text}],
        "source": row["source"],
        "licence": row["licence"],
    }


def items(seed: int, count: int, without: Collection[str] = ()) -> Iterator[dict[str, Any]]:
    """That many different items, none of them among `without` (their ids)."""
    random, seen = Random(f"tiny world {seed}"), set(without)
    while count:
        row = item(random)
        if row["id"] not in seen:
            seen.add(row["id"])
            count -= 1
            yield row
