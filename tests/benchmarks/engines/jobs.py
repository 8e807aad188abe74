"""The prompts of a point, of exactly known length, and what an engine is.

Each repeat has prompts of its own: a number in their first line keeps one repeat's cache from serving the next. Half of
a prompt is the same in all orders of an item, as question and instructions are; the other half is n parts, rotated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from itertools import cycle, islice
from typing import Any

from modeling_grm.backends.base import Group, grouped
from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.generation_grm import encode
from modeling_grm.parsing_grm import scores_line_end
from modeling_grm.types_grm import Completion, Prompt

from .points import Point

TEMPERATURE = 0.7
SENTENCE = (
    "the judge reads a question and weighs each answer against it before any score is given because what sounds right "
    "may still be wrong and what looks plain may hold the better reason so every claim is checked once more"
)
WORDS = SENTENCE.split()
NUMBERS = 10**6


@dataclass
class Job:
    """What one measurement asks: prompts as our engines take them, token ids for those that take ids."""

    prompts: list[Prompt]
    new: int
    tokenizer: Any

    @cached_property
    def groups(self) -> list[Group]:
        """The distinct prompts with their samples."""
        return list(grouped(self.prompts))

    @cached_property
    def ids(self) -> list[list[int]]:
        """Token ids of the distinct prompts."""
        return [encode(self.tokenizer, group.messages) for group in self.groups]

    @property
    def config(self) -> GRMConfig:
        """The sampling settings."""
        return GRMConfig(temperature=TEMPERATURE, max_new_tokens=self.new)


@dataclass(frozen=True)
class Engine:
    """A way of writing a job's samples to their last token.

    Attributes:
        write: does the job; how many tokens it wrote.
        dtype: what it computes in.
        before: what makes it forget earlier jobs; not timed.
    """

    write: Callable[[Job], int]
    dtype: str
    before: Callable[[], object] = lambda: None


def _filler(start: int, count: int) -> str:
    return " ".join(islice(cycle(WORDS), start, start + count))


def _content(number: int, words: int, n: int, turn: int) -> str:
    """A message of that many words whose n parts begin with part `turn`."""
    each = words // (2 * n)
    parts = [_filler(5 * part, each) for part in range(n)]
    shown = [parts[(turn + at) % n] for at in range(n)]
    head = _filler(0, words - n * each)
    return "\n".join([f"Case {number:06d}", head, *(f"Answer {at + 1}: {part}" for at, part in enumerate(shown))])


class Writer:
    """Writes jobs for a tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.words = cache(self._words)

    def _tokens(self, words: int, n: int) -> int:
        return len(encode(self.tokenizer, _messages(_content(0, words, n, 0))))

    def _words(self, tokens: int, n: int) -> int:
        """The most words that are no more than that many tokens."""
        low, high = 0, tokens
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._tokens(middle, n) <= tokens else (low, middle - 1)
        return low

    def job(self, point: Point, repeat: int) -> Job:
        """The prompts of a point's repeat, the same for every engine."""
        words = self.words(point.prompt, point.n)
        prompts = [
            Prompt(_messages(_content(number, words, point.n, turn)), order, seed, f"{number:06d}", sample)
            for number in (_number(point, repeat, item) for item in range(point.items))
            for sample, turn, order, seed in _design(point, number)
        ]
        return Job(prompts, point.new, self.tokenizer)


def _messages(content: str) -> tuple[dict[str, str], ...]:
    return ({"role": "user", "content": content},)


def _number(*key: object) -> int:
    return int(sha256(repr(key).encode()).hexdigest(), 16) % NUMBERS


def _design(point: Point, number: int) -> list[tuple[int, int, tuple[int, ...], int]]:
    """(sample, rotation, order, seed): the n rotations share the k samples as evenly as possible."""
    turns = [sample % point.n for sample in range(point.k)]
    orders = [tuple((turn + at) % point.n for at in range(point.n)) for turn in turns]
    return [(sample, turn, orders[sample], number * 64 + sample) for sample, turn in enumerate(turns)]


def never(text: str) -> None:
    """A stop rule at the full price of ours that lets every sample go on."""
    scores_line_end(text)


def counted(completions: Sequence[Completion]) -> int:
    """Tokens of all samples.

    Raises:
        RuntimeError: one of them failed.
    """
    failed = next((one.error for one in completions if one.error), None)
    if failed:
        raise RuntimeError(failed)
    return sum(one.completion_tokens for one in completions)
