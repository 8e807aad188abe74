"""What the judge should write for an item of the verifiable and the human pool, by rule.

A worked solution is calculated again, step by step, up to the first step that is wrong: the judge learns to find it. Of
a preference nobody says why, so that its target only says which response is preferred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..arithmetic import Worked
from ..contrast.targets import judgement, topic_of, works_out

RANKED = (("good", 8), ("weaker", 6), ("weak", 4), ("poor", 3))
"""What is said of the best response, of the next one, ..., and its score: the contrast set's word for the best, since a
judge that has other words for other sources guesses which it is in."""


@dataclass(frozen=True)
class Draft:
    """A judgement whose responses may still change places; `str` writes it out."""

    criteria: str
    said: tuple[tuple[str, str], ...]
    scores: tuple[int, ...]

    def __str__(self) -> str:
        return judgement(self.criteria, self.said, self.scores)

    def ordered(self, order: Sequence[int]) -> Draft:
        """The same of the responses in another order."""
        return Draft(self.criteria, tuple(self.said[at] for at in order), tuple(self.scores[at] for at in order))


def checked(worked: Worked) -> tuple[str, str]:
    """Its calculations, and what follows from them."""
    right = all(check.agrees for check in worked.checks)
    return works_out(worked.checks, worked.answer), "right" if right else "wrong"


def of_solutions(criteria: str, asked: str, solutions: Sequence[Worked], labels: Sequence[float]) -> Draft | None:
    """Of worked solutions, with their labels as scores; None where a calculation is not written out in the text."""
    if not all(worked.written_out for worked in solutions):
        return None
    return Draft(criteria.format(topic=topic_of(asked)), tuple(map(checked, solutions)), tuple(map(int, labels)))


def of_preference(criteria: str, asked: str, labels: Sequence[float]) -> Draft:
    """Of responses by their rank; the higher label is the better one, and equal ones share a rank."""
    ranks = [RANKED[min(sum(other > label for other in set(labels)), len(RANKED) - 1)] for label in labels]
    said = tuple(("", phrase) for phrase, _ in ranks)
    return Draft(criteria.format(topic=topic_of(asked)), said, tuple(score for _, score in ranks))
