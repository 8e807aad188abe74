"""What the judge should write for an item: criteria that fit the query, an analysis that names the defect, scores.

    Specific Criteria: relevance to "how to cook t-bone in the" (50%), completeness (30%), clarity (20%).
    Analysis: Response 1 starts "Preheat your oven to" and ends "rest for five minutes." It answers in full. ...
    Scores: \\boxed{9, 1}

Each verdict stands behind a quote of the response's start and end, so that it can be read off the text nearby.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from .defects import DEFECTS, Candidate

GOOD_SCORES = {"open": 9, "question": 8, "math": 10, "instruction": 9, "two_turn": 9}
_GOOD_VERDICTS = {
    "math": ("Both are the same, so it is right.", "These are equal: right."),
    "instruction": ("It keeps the rule: {rule}.", "The rule is kept: {rule}."),
    "two_turn": ("It answers the last turn.", "This is what the last turn asks for."),
    "open": ("It is complete and on topic.", "It answers the request in full."),
    "question": ("It answers the question.", "This is a clear answer to the question."),
}
_CRITERIA = {
    "math": (
        'a right number for "{topic}" (60%), working that leads to it (40%)',
        'the answer agrees with the working on "{topic}" (70%), clear steps (30%)',
    ),
    "instruction": (
        'the rule "{rule}" (50%), relevance to "{topic}" (50%)',
        'relevance to "{topic}" (40%), keeping to "{rule}" (60%)',
    ),
    "two_turn": (
        'answers the last turn, "{topic}" (60%), completeness (40%)',
        'stays with "{topic}", not with earlier turns (70%), clarity (30%)',
    ),
    "open": (
        'relevance to "{topic}" (50%), completeness (30%), clarity (20%)',
        'help with "{topic}" (60%), finished sentences (20%), no repetition (20%)',
    ),
    "question": (
        'an answer to "{topic}" (60%), completeness (20%), clarity (20%)',
        'facts on "{topic}" (50%), a finished text (30%), plain English (20%)',
    ),
}


def _first(text: str, count: int) -> str:
    return " ".join(text.replace('"', "'").split()[:count])


def _last(text: str, count: int) -> str:
    return " ".join(text.replace('"', "'").split()[-count:])


def score(candidate: Candidate, kind: str) -> int:
    """The score in 1..10 that the candidate deserves."""
    return GOOD_SCORES[kind] if candidate.defect is None else DEFECTS[candidate.defect].score


def _verdict(candidate: Candidate, kind: str, rng: random.Random) -> str:
    phrases = _GOOD_VERDICTS[kind] if candidate.defect is None else DEFECTS[candidate.defect].verdicts
    return rng.choice(phrases).format(**candidate.facts)


def _description(candidate: Candidate) -> str:
    if "works_out" in candidate.facts:
        return "works out {works_out} and answers {answers}.".format(**candidate.facts)
    return f'starts "{_first(candidate.text, 4)}" and ends "{_last(candidate.text, 4)}"'


def analysis(candidates: Sequence[Candidate], kind: str, rng: random.Random) -> str:
    """One description and one verdict for each response, in the order given."""
    lines = (
        f"Response {place} {_description(candidate)} {_verdict(candidate, kind, rng)}"
        for place, candidate in enumerate(candidates, 1)
    )
    return " ".join(lines)


def target_text(candidates: Sequence[Candidate], kind: str, last_turn: str, rule: str, rng: random.Random) -> str:
    """The whole judgement, three lines."""
    criteria = rng.choice(_CRITERIA[kind]).format(topic=_first(last_turn, 6), rule=rule)
    scores = ", ".join(str(score(candidate, kind)) for candidate in candidates)
    return (
        f"Specific Criteria: {criteria}.\n"
        f"Analysis: {analysis(candidates, kind, rng)}\n"
        f"Scores: \\boxed{{{scores}}}"
    )
