"""What the judge should write for an item: criteria that fit the query, an analysis that names the defect, scores.

    Specific Criteria: relevance to "how to cook t-bone in the" (50%), completeness (30%), clarity (20%).
    Analysis: Response 1: good, 9/10. Response 2: good, but "After the failure of" at its end is off topic, 6/10.
    Scores: \\boxed{9, 6}

Each verdict stands right behind the response's number, with which a prompt closes a response (template
`compact-closed`), so that it is read off where the response was; each score stands behind its verdict, so that the last
line only has to repeat it. Trained without the last, a small model wrote fitting verdicts and unrelated scores; without
the number, fitting verdicts of the other response. Nothing is quoted before a verdict but a solution's calculations,
which have to be done first: with a quote of each response's start and end there, a small model copied ends that were
none, and then judged what it had copied.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from ..arithmetic import Check
from .defects import DEFECTS, Candidate, Defect
from .strengths import GRADED

GOOD_SCORES = {"open": 9, "question": 8, "math": 10, "instruction": 9, "two_turn": 9}
_GOOD_VERDICTS = {
    "math": "right",
    "instruction": "good, it keeps the rule",
    "two_turn": "good, it answers the last turn",
    "open": "good",
    "question": "good",
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


def topic_of(last_turn: str) -> str:
    """The first words of what was asked."""
    return _first(last_turn, 6)


def _named(candidate: Candidate) -> Defect | None:
    """The candidate's defect, of the strength that it was made in; None of the good one."""
    if candidate.defect is None:
        return None
    return GRADED[candidate.defect][candidate.strength] if candidate.strength else DEFECTS[candidate.defect]


def score(candidate: Candidate, kind: str) -> int:
    """The score in 1..10 that the candidate deserves."""
    named = _named(candidate)
    return named.score if named else GOOD_SCORES[kind]


def verdict(candidate: Candidate, kind: str) -> str:
    """What is said of a response."""
    named = _named(candidate)
    phrase = named.verdict if named else _GOOD_VERDICTS[kind]
    return phrase.format(**candidate.facts)


def works_out(checks: Sequence[Check], answer: str) -> str:
    """Each calculation done again beside what the solution has, up to the first that differs; else its answer too.

    What it comes to stands before what is there: a small model that quotes first repeats what it has quoted, and one
    that does not quote at all cannot compare.
    """
    lines: list[str] = []
    for check in checks:
        lines.append(f"{check.expression}={check.comes_to} has {check.said} {'yes' if check.agrees else 'no'}")
        if not check.agrees:
            return f"works out {', '.join(lines)}"
    return f"works out {', '.join(lines)} and answers {answer}"


def _worked(candidate: Candidate) -> str:
    if candidate.checks:
        return works_out(candidate.checks, candidate.facts["answers"])
    if "works_out" in candidate.facts:
        return "works out {works_out} and answers {answers}".format(**candidate.facts)
    return ""


def judgement(criteria: str, said: Sequence[tuple[str, str]], scores: Sequence[int]) -> str:
    """The whole judgement, three lines; `said` has of each response what has to be seen first (or "") and a verdict."""
    pairs = enumerate(zip(said, scores, strict=True), 1)
    parts = (
        (f"Response {i} {seen}. " if seen else "") + f"Response {i}: {verdict}, {score}/10."
        for i, ((seen, verdict), score) in pairs
    )
    analysis = " ".join(parts)
    return f"Specific Criteria: {criteria}.\nAnalysis: {analysis}\nScores: \\boxed{{{', '.join(map(str, scores))}}}"


def target_text(candidates: Sequence[Candidate], kind: str, last_turn: str, rule: str, rng: random.Random) -> str:
    """The judgement of an item's responses, in the order given."""
    criteria = rng.choice(_CRITERIA[kind]).format(topic=topic_of(last_turn), rule=rule)
    said = [(_worked(candidate), verdict(candidate, kind)) for candidate in candidates]
    return judgement(criteria, said, [score(candidate, kind) for candidate in candidates])
