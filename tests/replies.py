"""Ready critiques for tests that have no use for a judge."""

from __future__ import annotations

from collections.abc import Sequence

from modeling_grm.types_grm import Critique, Outcome


def critique(scores: Sequence[int]) -> Critique:
    """An OK critique that showed the responses last to first; its text speaks of that order."""
    shown = tuple(reversed(range(len(scores))))
    listed = ", ".join(str(scores[at]) for at in shown)
    text = f"Specific Criteria: length.\nAnalysis: Response 1 is short.\nScores: \\boxed{{{listed}}}"
    return Critique(text, Outcome.OK, shown, 0, tuple(scores), "length.", "Response 1 is short.", completion_tokens=9)
