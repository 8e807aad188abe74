r"""The scores line that an engine can be made to write: what opens it, and what may stand in it.

    line = ScoresLine(n=2, low=1, high=10)
    line.opening                      '\nScores: \\boxed{'
    line.begins("8, "), line.ends("8, 3}"), line.begins("11")      True, True, False

A critique is always free. Only one that ended without a readable scores line (none, an unreadable one, or the token
budget came first) is continued with `opening`, and then holds n whole numbers of the range and nothing else. The last
scores line of a text is the one that counts, so nothing that was written needs to be taken back.

Text only: how an engine keeps to it (a mask over the logits, a regular expression) is the engine's.
"""

from __future__ import annotations

from dataclasses import dataclass

from .parsing_grm import parse
from .types_grm import Completion, InvalidInput, Outcome

ALPHABET = frozenset("0123456789, }")
"""All that can stand behind the opening."""


def check_reserve(reserve: int, max_new_tokens: int, n: int) -> None:
    """Refuse a budget that the scores line of n responses takes whole.

    Raises:
        InvalidInput: `reserve >= max_new_tokens`, both in tokens.
    """
    if reserve >= max_new_tokens:
        raise InvalidInput(
            f"max_new_tokens: {max_new_tokens} has no room for a critique and a scores line of {n}; "
            f"give more than {reserve}, or constrain='none'"
        )


@dataclass(frozen=True)
class ScoresLine:
    """A line of n scores, `low` to `high`, both included."""

    n: int
    low: int
    high: int
    opening = "\nScores: \\boxed{"

    def needed(self, completion: Completion) -> bool:
        """Whether a judgement ended without scores that can be read."""
        return parse(completion, range(self.n), score_range=(self.low, self.high)).outcome is not Outcome.OK

    @property
    def longest(self) -> str:
        """The longest list, brace included: what a token budget must have room for behind the opening."""
        return ", ".join([str(self.high)] * self.n) + "}"

    @property
    def regex(self) -> str:
        """All lists, brace included."""
        one = "|".join(str(score) for score in range(self.high, self.low - 1, -1))
        return rf"({one})(, ({one})){{{self.n - 1}}}\}}"

    def begins(self, text: str) -> bool:
        """Whether a list can go on like this (or is whole)."""
        legal = [str(score) for score in range(self.low, self.high + 1)]
        if text.endswith("}"):
            parts = text[:-1].split(", ")
            return len(parts) == self.n and all(part in legal for part in parts)
        *done, last = text.split(", ")
        if last.endswith(","):  # its space is still to come
            done, last = [*done, last[:-1]], ""
        going_on = any(score.startswith(last) for score in legal)
        return len(done) < self.n and going_on and all(part in legal for part in done)

    def ends(self, text: str) -> bool:
        """Whether a list is whole."""
        return text.endswith("}") and self.begins(text)
