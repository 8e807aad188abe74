"""Two good responses to one prompt: the judgement to learn finds nothing wrong with either, and scores them alike.

    good, good             -> 9, 9
    good, cut short, good  -> 9, 4, 9

In every item of a truth one response alone is best. A judge that has seen nothing else looks for a defect until it
finds one, and where there is none the place of a response decides. These rows have no truth and are for tuning alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from ...types_grm import InvalidInput
from ..contrast.defects import Candidate, Case
from ..contrast.grown import part_of
from ..contrast.sources import Seed, read_seeds, trim, words
from ..contrast.targets import target_text
from ..sources import read_records
from .sources import SOURCES, oddity
from .whole import KIND, RATED, fault_of, foreign, target_of, worse

FROM = SOURCES["ultrafeedback"]
"""Whose labels are ratings of 10."""
COUNTS = (2, 2, 3, 4)
"""Responses of a row: the two good ones, and others with a defect."""
NEAR = 1.5  # points of 10 between two whole responses, at most
MOST = 240  # words of a whole one
TOGETHER = 480  # words of all
SHARED = 0.5  # of the longer words of the one with fewer, at least, where sentences are shown: they say the same
SENTENCES = (10, 50)  # words of what is left of a response of which some sentences are shown, about
PATIENCE = 200  # tries for one row


def alike(row: Mapping[str, Any]) -> bool:
    """Whether both responses of a source's row are whole and good."""
    if len(row["conversation"]) != 1 or len(set(row["responses"])) != 2 or oddity(row):
        return False
    rated = min(row["labels"]) >= RATED and max(row["labels"]) - min(row["labels"]) <= NEAR
    return (
        rated
        and not foreign(row["conversation"][0]["content"])
        and not any(fault_of(t, MOST) for t in row["responses"])
    )


def whole_pairs(folder: Path) -> Iterator[Seed]:
    """The source's pairs of whole responses that are rated about the same."""
    for row in read_records(folder / FROM.file):
        if alike(row):
            texts = tuple(text.strip() for text in row["responses"])
            yield Seed(str(row["id"]), FROM.name, row["conversation"][0]["content"].strip(), texts, KIND, "MIT")


def prose_pairs(folder: Path) -> Iterator[Seed]:
    """The contrast set's prompts that have two good responses which say much the same."""
    return (seed for seed in read_seeds(folder, wide=True) if len(seed.good) > 1 and agree(*seed.good[:2]))


def agree(one: str, other: str) -> bool:
    """Whether two texts say much the same, in other words."""
    a, b = ({word.lower() for word in re.findall(r"\w{4,}", text)} for text in (one, other))
    return one != other and len(a & b) >= SHARED * max(1, min(len(a), len(b)))


def _sentences(text: str, rng: Random) -> str | None:
    return trim(text, rng.randint(*SENTENCES))


def _of_whole(pair: Seed, shown: Sequence[Candidate], rng: Random) -> str:
    return str(target_of(shown, pair.prompt, f"even {pair.id} {rng.random()}"))


def _of_prose(pair: Seed, shown: Sequence[Candidate], rng: Random) -> str:
    return target_text(shown, pair.kind, pair.prompt, "", rng)


@dataclass(frozen=True)
class Kind:
    """Where pairs come from, how a response of theirs is shown, and the judgement of a row as its pool has it."""

    read: Callable[[Path], Iterator[Seed]]
    show: Callable[[str, Random], str | None]
    target: Callable[[Seed, Sequence[Candidate], Random], str]


KINDS = (Kind(whole_pairs, lambda text, _: text, _of_whole), Kind(prose_pairs, _sentences, _of_prose))


def even_rows(folder: Path, prompts: Container[str], count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Rows with `conversation`, `responses` and `target`, of each of `KINDS` in turn.

    Args:
        folder: where the source files are.
        prompts: which may be used.
        count: how many rows; no two are the same.
        seed: of all choices.

    Raises:
        InvalidInput: a file is missing, or these prompts have too few pairs.
    """
    rng, seen = Random(f"even {seed}"), set[tuple[str, ...]]()
    pairs = [[one for one in kind.read(folder) if _usable(one, prompts)] for kind in KINDS]
    if not all(pairs):
        raise InvalidInput("even: no prompt of these rows has two good responses; give other rows, or 0")
    for number in range(count):
        at = number % len(KINDS)
        yield _unseen(KINDS[at], pairs[at], rng, seen)


def _usable(pair: Seed, prompts: Container[str]) -> bool:
    return part_of(pair.prompt) == "train" and pair.prompt in prompts


def _unseen(kind: Kind, pairs: Sequence[Seed], rng: Random, seen: set[tuple[str, ...]]) -> dict[str, Any]:
    for _ in range(PATIENCE):
        pair, other = rng.choice(pairs), rng.choice(pairs)
        shown = _shown(kind, pair, other, rng) if pair.prompt != other.prompt else []
        texts = [one.text for one in shown]
        key = tuple(sorted(texts))
        if shown and key not in seen and sum(map(words, texts)) <= TOGETHER:
            seen.add(key)
            turns = [{"role": "user", "content": pair.prompt}]
            return {"conversation": turns, "responses": texts, "target": kind.target(pair, shown, rng)}
    raise InvalidInput("even: these prompts have no more pairs of good responses; ask for fewer rows")


def _shown(kind: Kind, pair: Seed, other: Seed, rng: Random) -> list[Candidate]:
    """The two, and others with a defect, in any order; none where the two are not to be had."""
    texts = list(dict.fromkeys(filter(None, (kind.show(text, rng) for text in pair.good[:2]))))
    if len(texts) < 2:
        return []
    made = worse(Case(pair, other, "train", rng), rng.choice(texts), rng.choice(COUNTS) - 2)
    shown = [*(Candidate(text, None) for text in texts), *(one for one in made if one.text not in texts)]
    return rng.sample(shown, len(shown))
