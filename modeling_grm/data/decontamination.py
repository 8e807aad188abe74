"""Keeps benchmark prompts out of training data: equal texts, and shared runs of 13 words.

    benchmarks = Benchmarks()
    benchmarks.add("RewardBench", prompts)
    kept, removed = decontaminate(items, benchmarks)

Texts are compared as lower-case words without punctuation. The run of 13 words is the convention of GPT-3's
decontamination (Brown et al. 2020, arXiv 2005.14165, appendix C), which released preference data kept to as well; any
one shared run counts. A prompt shorter than that is found only where it is the whole of a turn. Knows nothing about
models; does not look at responses.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..benchmarks import load_items
from ..benchmarks.loading import UNUSABLE
from ..rows import Row, read_rows
from ..types_grm import InvalidInput
from .preference import Preference

RUN = 13
_WORD = re.compile(r"\w+", re.UNICODE)


class Hit(NamedTuple):
    """Why an item was removed: which benchmark, `exact` or `n-gram`, and the words that both have."""

    benchmark: str
    kind: str
    shared: str


def words(text: str) -> list[str]:
    """The text's words in lower case, compatibility forms unified (NFKC), punctuation left out."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def runs(tokens: Sequence[str], n: int) -> Iterator[str]:
    """Every run of n words, as one text; none where there are fewer."""
    return (" ".join(tokens[at : at + n]) for at in range(len(tokens) - n + 1))


@dataclass
class Benchmarks:
    """The prompts to keep out.

    Attributes:
        n: words of a run.
        names: the benchmarks, in the order in which they were added; the first that has a text is named.
        prompts: benchmark -> prompts that it gave.
    """

    n: int = RUN
    names: list[str] = field(default_factory=list)
    prompts: Counter[str] = field(default_factory=Counter)
    _whole: dict[str, int] = field(default_factory=dict, repr=False)
    _runs: dict[int, int] = field(default_factory=dict, repr=False)  # the hash of a run: a tenth of its text's memory

    def __post_init__(self) -> None:
        if isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 2:
            raise InvalidInput(f"n: {self.n!r} is not usable; give a number of words, at least 2")

    def add(self, name: str, prompts: Iterable[str]) -> None:
        """Take in a benchmark's prompts.

        Raises:
            InvalidInput: there are none, so nothing would be kept out.
        """
        at = len(self.names)
        for prompt in prompts:
            tokens = words(prompt)
            self._whole.setdefault(" ".join(tokens), at)
            for run in runs(tokens, self.n):
                self._runs.setdefault(hash(run), at)
            self.prompts[name] += 1
        if not self.prompts[name]:
            raise InvalidInput(f"benchmark: {name!r} gave no prompts, so nothing would be kept out; see its file")
        self._whole.pop("", None)
        self.names.append(name)

    def find(self, turns: Sequence[str]) -> Hit | None:
        """The first thing that the user's turns share with a benchmark."""
        for tokens in map(words, turns):
            whole = " ".join(tokens)
            if whole in self._whole:
                return Hit(self.names[self._whole[whole]], "exact", whole)
            for run in runs(tokens, self.n):
                if (at := self._runs.get(hash(run))) is not None:
                    return Hit(self.names[at], "n-gram", run)
        return None


def user_turns(turns: Iterable[dict[str, str]]) -> list[str]:
    """What the user says, the last turn first: that is the prompt."""
    return [turn["content"] for turn in turns if turn["role"] == "user"][::-1]


def prompts_of(path: str | Path) -> Iterator[str]:
    """The users' last turns in a file of rows (`rows.read_rows`).

    Raises:
        InvalidInput: the file, or one of its rows, cannot be read: a gap would let a prompt through.
    """
    for row in read_rows(path):
        if not isinstance(row, Row):
            raise InvalidInput(f"{row.place}: {row.error}; a benchmark's prompts must all be readable")
        yield user_turns(row.request.query)[0]


def benchmark_prompts(name: str, data: Path | None = None) -> Iterator[str]:
    """The prompts that a benchmark judges (`modeling_grm.benchmarks`), each once: the users' last turns.

    Args:
        name: of `benchmarks.BENCHMARKS`.
        data: a folder with its files, in the place of the Hub.

    Raises:
        InvalidInput: an unknown name, rows that cannot be reached, or one that cannot be used: a gap would let a prompt
            through.
        ImportError: a package that the rows need.
    """
    loaded = load_items(name, data=data)
    broken = [f"{count} {reason}" for reason, count in loaded.dropped.items() if reason.startswith(UNUSABLE)]
    if broken:
        raise InvalidInput(
            f"{name}: {', '.join(broken)}; a benchmark's prompts must all be readable: mend {loaded.where}"
        )
    return iter(dict.fromkeys(user_turns(item.request.query)[0] for item in loaded.items))


def decontaminate(
    items: Iterable[Preference], benchmarks: Benchmarks
) -> tuple[list[Preference], list[tuple[Preference, Hit]]]:
    """(items that share nothing with a benchmark, the others with what they share)."""
    kept: list[Preference] = []
    removed: list[tuple[Preference, Hit]] = []
    for item in items:
        hit = benchmarks.find(user_turns(item.request.query))
        if hit is None:
            kept.append(item)
        else:
            removed.append((item, hit))
    return kept, removed


def report_of(benchmarks: Benchmarks, removed: Sequence[tuple[Preference, Hit]]) -> dict[str, Any]:
    """What was removed, by benchmark: plain JSON types, with one example of each kind."""
    found: dict[str, Any] = {
        name: {"prompts": benchmarks.prompts[name], "exact": 0, "n-gram": 0, "examples": []}
        for name in benchmarks.names
    }
    seen: set[tuple[str, str]] = set()
    for item, hit in removed:
        found[hit.benchmark][hit.kind] += 1
        if hit[:2] not in seen:
            seen.add(hit[:2])
            example = {"id": item.id, "source": item.source, "kind": hit.kind, "shared": hit.shared[:200]}
            found[hit.benchmark]["examples"].append(example)
    return {"n": benchmarks.n, "removed": len(removed), "benchmarks": found}
