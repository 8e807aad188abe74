"""SPCT's rejection rules (arXiv 2504.02495, section 3.2): which sampled judgements a judge may learn from.

    correct((3, 8), best=1, label=None)                  True: Eq 10, the best response alone at the top
    reject([True, True, False], hinted=[True])           [KEPT, KEPT, INCORRECT], [KEPT]
    reject([True, True, True], hinted=[True])            [TOO_EASY] * 3, [KEPT]

An incorrect judgement is dropped. An item that all N_RFT non-hinted samples get right is too easy, and they are
dropped. A hinted sample is dropped only if it is incorrect. Pure functions: nothing is sampled or read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

from ..types_grm import InvalidInput, Prompt

HINT = "The best response is: Response {j}"


class Verdict(str, Enum):
    """What becomes of a sample; every name but KEPT says why it is dropped."""

    KEPT = "kept"
    INCORRECT = "incorrect"
    TOO_EASY = "too easy"
    NOT_MADE = "not made"


def correct(scores: Sequence[float] | None, best: int | None, label: float | None) -> bool:
    """Whether a judgement is correct (Eq 10).

    Two or more responses: the best one's score is strictly above every other; a tie with it is wrong, the order among
    the others does not matter. One response: its score equals the label. No readable scores: not correct.

    Args:
        scores: one a response, in the order in which `best` counts; None where none could be read.
        best: index of the response that is labelled best; for two or more.
        label: the right score; for one.

    Raises:
        InvalidInput: nothing says what is right.
    """
    if scores is None:
        return False
    if len(scores) == 1:
        if label is None:
            raise InvalidInput("label: None for a single response; nothing says which score is right")
        return scores[0] == label
    if best is None or not 0 <= best < len(scores):
        raise InvalidInput(f"best: {best!r} is none of {len(scores)} responses; nothing says which is right")
    return all(scores[best] > score for at, score in enumerate(scores) if at != best)


def reject(samples: Sequence[bool | None], hinted: Sequence[bool | None] = ()) -> tuple[list[Verdict], list[Verdict]]:
    """The verdicts of one item's samples.

    Args:
        samples: N_RFT non-hinted ones: correct or not; None where the engine failed to make it.
        hinted: those that were told the best response, the same way.

    Returns:
        A verdict each. With a sample that was not made, the item is not known to be too easy, so its correct ones are
        NOT_MADE too: they wait for the run that completes it.
    """
    return [_verdict(sample, samples) for sample in samples], [_own_verdict(sample) for sample in hinted]


def _own_verdict(sample: bool | None) -> Verdict:
    return Verdict.NOT_MADE if sample is None else Verdict.KEPT if sample else Verdict.INCORRECT


def _verdict(sample: bool | None, samples: Sequence[bool | None]) -> Verdict:
    if not sample:
        return _own_verdict(sample)
    if all(samples):
        return Verdict.TOO_EASY
    return Verdict.NOT_MADE if all(other is not False for other in samples) else Verdict.KEPT


def hinted(prompt: Prompt, best: int) -> Prompt:
    """The prompt with the best response named at the end of its last message, by the number under which it is shown.

    Args:
        prompt: of a judgement.
        best: the caller's index of the best response; the prompt's order says where it is shown.
    """
    last = prompt.messages[-1]
    said = f"{last['content']}\n\n{HINT.format(j=prompt.order.index(best) + 1)}"
    return replace(prompt, messages=(*prompt.messages[:-1], {**last, "content": said}))
