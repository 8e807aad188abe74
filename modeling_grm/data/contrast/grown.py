"""The contrast set grown: every defect in every strength, balanced in length and place, in three parts by prompt.

    grow(folder, "train", 16000) -> rows as `build.build` has them; meta.strength, and meta.strengths of each response

The parts `meta` and `test` share out the prompts that `build.split_of` calls test, since the shipped judge was trained
on the others: `meta` is for a meta RM. Each part has phrases of its own.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...types_grm import InvalidInput
from .build import COUNTS, Item, make_item, split_of, to_row
from .sources import Seed, places, read_seeds
from .strengths import GRADED, STRENGTHS

PARTS = ("train", "meta", "test")
META_SHARE = 128  # of 256: half of the prompts that the judge has not seen
KINDS = ("open", "question", "math")
PATIENCE = 1500  # tries, after which an item may have any length; ten times as many, and there is none to be had


def part_of(prompt: str) -> str:
    """`train` where `split_of` says so; the others are `meta` or `test` by the next byte of the same hash."""
    if split_of(prompt) == "train":
        return "train"
    digest = hashlib.sha256(prompt.strip().lower().encode()).digest()
    return "meta" if digest[1] < META_SHARE else "test"


def grow(
    folder: Path,
    part: str,
    count: int,
    seed: int = 0,
    *,
    strengths: Sequence[str] = STRENGTHS,
    fits: Callable[[str], bool] | None = None,
) -> Iterator[dict[str, Any]]:
    """`count` rows of one part, no two of them the same; defects, strengths and n = 2, 4, 1 go round robin.

    Args:
        folder: where the source files are.
        part: train, meta or test.
        count: rows.
        seed: of all random choices.
        strengths: which ones.
        fits: whether a prompt may be used; all may if left out.

    Raises:
        InvalidInput: an unknown part or strength, or too few prompts for what is asked.
    """
    named = _asked(part, strengths)
    rng = random.Random(f"grown-{part}-{seed}")
    seeds = [
        one for one in read_seeds(folder, wide=True) if part_of(one.prompt) == part and (not fits or fits(one.prompt))
    ]
    _check_seeds(seeds, part)
    lengths, seen = Lengths(rng), set[str]()
    for number in range(count):
        turn, at = divmod(number, len(named))
        asked = (*named[at], COUNTS[turn % len(COUNTS)], turn + at)
        item = _next(rng, seeds, part, asked, strengths, lengths, seen)
        yield _row(item, number, part, rng)


def _asked(part: str, strengths: Sequence[str]) -> list[tuple[str, str]]:
    if part not in PARTS:
        raise InvalidInput(f"part: {part!r} is unknown; known are {', '.join(PARTS)}")
    unknown = [one for one in strengths if one not in STRENGTHS]
    if unknown or not strengths:
        raise InvalidInput(f"strengths: {list(strengths)} is not usable; give some of {', '.join(STRENGTHS)}")
    return [(defect, strength) for strength in strengths for defect, graded in GRADED.items() if strength in graded]


def _check_seeds(seeds: Sequence[Seed], part: str) -> None:
    """Two prompts of each kind, since an item may need a second one."""
    counts = Counter(one.kind for one in seeds)
    few = [kind for kind in KINDS if counts[kind] < 2]
    if few:
        raise InvalidInput(
            f"prompts: the part {part!r} has fewer than two of the kind {', '.join(few)}; give more rows"
        )


def _next(
    rng: random.Random,
    seeds: Sequence[Seed],
    part: str,
    asked: tuple[str, str, int, int],
    strengths: Sequence[str],
    lengths: Lengths,
    seen: set[str],
) -> Item:
    defect, strength, n, place = asked
    for tries in range(10 * PATIENCE):
        item = make_item(rng, seeds, part, defect, n, place, strength=strength, strengths=strengths)
        if item is None or (content := _content(item)) in seen:
            continue
        if lengths.takes(item, strict=tries < PATIENCE):
            seen.add(content)
            return item
    raise InvalidInput(f"prompts: the part {part!r} has too few for another item of {strength} {defect}; ask for fewer")


def _content(item: Item) -> str:
    return json.dumps([item.conversation, sorted(one.text for one in item.candidates)])


@dataclass
class Lengths:
    """How often the good response was the longest, the second longest, ... of one defect, strength and n.

    Each of them starts with another rank, which `rng` draws.
    """

    rng: random.Random
    counts: dict[tuple[str, str, int], list[float]] = field(default_factory=dict)

    def takes(self, item: Item, *, strict: bool) -> bool:
        """Counts an item if one of its good response's ranks is wanted now; a tie is a part of each rank in it."""
        n = len(item.candidates)
        if n == 1:
            return True
        named = (item.defect, item.strength, n)
        if named not in self.counts:
            self.counts[named] = [self.rng.random() * 1e-3 for _ in range(n)]
        counts = self.counts[named]
        good = next(at for at, one in enumerate(item.candidates) if one.defect is None)
        ranks = places([one.text for one in item.candidates], good)
        if strict and min(counts[rank] for rank in ranks) > min(counts) + 1e-6:
            return False
        for rank in ranks:
            counts[rank] += 1 / len(ranks)
        return True


def _row(item: Item, number: int, part: str, rng: random.Random) -> dict[str, Any]:
    row = to_row(item, number, part, rng)
    given = [one.strength or None for one in item.candidates]
    return row | {"id": f"grown-{part}-{number}", "meta": row["meta"] | {"strength": item.strength, "strengths": given}}
