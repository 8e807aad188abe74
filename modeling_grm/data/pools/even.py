"""Two responses of a source's to one prompt, rated alike: both good and scored alike, or one of them made worse.

    good, good                 -> 9, 9
    good, the other cut short  -> 9, 5
    good, off topic, good      -> 9, 1, 9

In an item with a truth at most one response is called good, and the worse ones are made from it. A judge that has seen
nothing else finds a defect in one of two good responses, and which one goes by its place. These rows have no truth:
they are for tuning alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

from ...types_grm import InvalidInput
from ..contrast.defects import Candidate, Case
from ..contrast.grown import part_of
from ..contrast.sources import Seed, is_plain_english, trim, without_greeting, words
from ..contrast.targets import target_text
from ..filters import refuse_licences
from ..sources import read_records
from .sources import SOURCES, check_files, licence_of, oddity
from .whole import KIND, RATED, fault_of, foreign, target_of, worse

FROM = SOURCES["ultrafeedback"]
"""Whose labels are ratings of 10."""
NEAR = 0.5  # points of 10 between the two, at most
SHAPES = ((2, 0), (2, 0), (1, 1), (1, 1), (2, 1), (1, 2), (2, 2))
"""How many responses of a row are good, and how many have a defect."""
MOST = 240  # words of a whole response
TOGETHER = 480  # words of prompt and responses
SENTENCES = (10, 50)  # words of what is left where some sentences are shown, about
PATIENCE = 20  # tries for one row of a pair


def alike(row: Mapping[str, Any]) -> bool:
    """Whether a row has one turn and two responses that are rated well and about the same."""
    labels = row.get("labels") or ()
    if oddity(row) or len(row["conversation"]) != 1 or len(row["responses"]) != 2 or len(labels) != 2:
        return False
    rated = min(labels) >= RATED and max(labels) - min(labels) <= NEAR
    return rated and not foreign(row["conversation"][0]["content"])


def pairs_of(folder: Path, prompts: Container[str]) -> list[Seed]:
    """The source's pairs of the training part, of these prompts."""
    asked = (
        (row, row["conversation"][0]["content"].strip()) for row in filter(alike, read_records(folder / FROM.file))
    )
    return [
        Seed(str(row["id"]), FROM.name, prompt, tuple(row["responses"]), KIND, licence_of(row))
        for row, prompt in asked
        if prompt in prompts and part_of(prompt) == "train"
    ]


def _whole(text: str, rng: Random) -> str | None:
    return None if fault_of(text, MOST) else text.strip()


def _prose(text: str, rng: Random) -> str | None:
    plain = without_greeting(text) if is_plain_english(text) else None
    return trim(plain, rng.randint(*SENTENCES)) if plain else None


@dataclass(frozen=True)
class Way:
    """How a response is shown, if it can be, and how a judgement of such responses is written: as its pool has it."""

    show: Callable[[str, Random], str | None]
    target: Callable[[Sequence[Candidate], str, Random], str]


WAYS = (
    Way(_whole, lambda shown, prompt, rng: str(target_of(shown, prompt, rng))),
    Way(_prose, lambda shown, prompt, rng: target_text(shown, KIND, prompt, "", rng)),
)


def even_rows(folder: Path, prompts: Container[str], count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Rows with `conversation`, `responses` and `target`, of each of `SHAPES` in turn; none twice in the same order.

    Args:
        folder: where the source files are.
        prompts: which may be used.
        count: how many rows.
        seed: of all choices.

    Raises:
        InvalidInput: the file is missing, a licence is neither MIT nor Apache-2.0, or these prompts have too few pairs.
    """
    check_files(folder, iter([FROM.file]))
    rng, seen, pairs = Random(f"even {seed}"), set[tuple[str, ...]](), pairs_of(folder, prompts)
    refuse_licences(Counter((pair.license, pair.source) for pair in pairs))
    if len({pair.prompt for pair in pairs}) < 2:
        raise InvalidInput(f"even: {count!r} rows need two prompts with two good responses each; give other rows, or 0")
    rounds = cycle(rng.sample(pairs, len(pairs)))
    for number in range(count):
        tries = (_unseen(SHAPES[number % len(SHAPES)], next(rounds), pairs, rng, seen) for _ in pairs)
        row = next(filter(None, tries), None)
        if row is None:
            raise InvalidInput(
                f"even: {count!r} rows are not to be had; {len(pairs)} pairs give {number}: ask for fewer"
            )
        yield row


def _unseen(
    shape: tuple[int, int], pair: Seed, pairs: Sequence[Seed], rng: Random, seen: set[tuple[str, ...]]
) -> dict[str, Any] | None:
    """A row of the pair; None where it gives no other one."""
    for way in rng.choices(WAYS, k=PATIENCE):
        shown = _shown(way, shape, pair, rng.choice(pairs), rng)
        texts = [one.text for one in shown]
        if shown and tuple(texts) not in seen and words(pair.prompt) + sum(map(words, texts)) <= TOGETHER:
            seen.add(tuple(texts))
            turns = [{"role": "user", "content": pair.prompt}]
            return {"conversation": turns, "responses": texts, "target": way.target(shown, pair.prompt, rng)}
    return None


def _shown(way: Way, shape: tuple[int, int], pair: Seed, other: Seed, rng: Random) -> list[Candidate]:
    """Good ones and such with a defect, in any order; none where they are not to be had."""
    one, two, off_topic = (way.show(text, rng) for text in (*rng.sample(pair.good, 2), rng.choice(other.good)))
    if pair.prompt == other.prompt or not one or not two or not off_topic or one == two:
        return []
    good, count = shape
    case = Case(pair, replace(other, good=(off_topic,)), "train", rng)
    made = [found for found in worse(case, two, count) if found.text not in (one, two)]
    shown = [*(Candidate(text, None) for text in (one, two)[:good]), *made]
    return rng.sample(shown, len(shown)) if len(shown) == good + count else []
