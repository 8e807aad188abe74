"""Which k of an item's K stored samples stand for a run with k samples: subsets that keep the design of `orders`.

    subsets(k=3, stored=8, n=2)         one whole block of two and one sample of another block: 4 x 3 x 2 = 24 of them
    draws(k=3, stored=8, n=2, size=64)  64 of them for each item, by chance

Samples come in blocks of n, in which each response meets each slot once. A run of k = q n + s samples has q whole
blocks and s samples of one more, so a subset has, too; if K is no multiple of n, its last block is a partial one and
can only be that further block. All such subsets are equally likely. Counts only: knows nothing about scores.
"""

from __future__ import annotations

from itertools import chain, combinations
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class _Shape(NamedTuple):
    """q whole blocks of `blocks`, and `rest` samples of one more; the last, partial block has `partial` samples."""

    n: int
    blocks: int
    partial: int
    whole: int
    rest: int

    @property
    def from_whole(self) -> int:
        """How many subsets take the rest from a whole block (or need no rest)."""
        free = (self.blocks - self.whole) * comb(self.n, self.rest) if self.rest else 1
        return comb(self.blocks, self.whole) * free

    @property
    def from_partial(self) -> int:
        """How many subsets take the rest from the partial block."""
        return comb(self.blocks, self.whole) * comb(self.partial, self.rest) if self.rest else 0


def _shape(k: int, stored: int, n: int) -> _Shape:
    return _Shape(n, *divmod(stored, n), *divmod(k, n))


def count(k: int, stored: int, n: int) -> int:
    """How many subsets there are; 1 for k = stored."""
    shape = _shape(k, stored, n)
    return shape.from_whole + shape.from_partial


def subsets(k: int, stored: int, n: int) -> Ints:
    """All of them: [count, k] places among the stored samples, each row ascending."""
    shape = _shape(k, stored, n)
    found = []
    for whole in combinations(range(shape.blocks), shape.whole):
        kept = list(chain.from_iterable(range(block * n, block * n + n) for block in whole))
        found += [sorted(kept + list(rest)) for rest in _rests(shape, whole)]
    return np.array(found, dtype=np.int64).reshape(len(found), k)


def _rests(shape: _Shape, whole: tuple[int, ...]) -> list[tuple[int, ...]]:
    if not shape.rest:
        return [()]
    starts = [block * shape.n for block in range(shape.blocks) if block not in whole]
    further = [range(start, start + shape.n) for start in starts]
    further.append(range(shape.blocks * shape.n, shape.blocks * shape.n + shape.partial))
    return [rest for block in further for rest in combinations(block, shape.rest)]


def draws(k: int, stored: int, n: int, size: tuple[int, int], rng: np.random.Generator) -> Ints:
    """Subsets drawn evenly and independently: [*size, k] places among the stored samples, each row ascending."""
    shape = _shape(k, stored, n)
    blocks = _distinct(shape.blocks, min(shape.whole + 1, shape.blocks), size, rng)
    taken = blocks[..., : shape.whole, None] * n + np.arange(n)
    parts = [taken.reshape(*size, shape.whole * n)]
    if shape.rest:
        parts.append(_drawn_rest(shape, blocks, size, rng))
    return np.sort(np.concatenate(parts, axis=-1), axis=-1)


def _drawn_rest(shape: _Shape, blocks: Ints, size: tuple[int, int], rng: np.random.Generator) -> Ints:
    """The samples of one further block: the last of `blocks`, or the partial one as often as it is due."""
    parts: list[Ints] = []
    if shape.from_whole:
        parts.append(blocks[..., -1:] * shape.n + _distinct(shape.n, shape.rest, size, rng))
    if shape.from_partial:
        parts.append(shape.blocks * shape.n + _distinct(shape.partial, shape.rest, size, rng))
    partial = rng.random((*size, 1)) < shape.from_partial / (shape.from_partial + shape.from_whole)
    return np.where(partial, parts[-1], parts[0])


def _distinct(among: int, take: int, size: tuple[int, int], rng: np.random.Generator) -> Ints:
    """[*size, take] different numbers below `among`, in an even order."""
    return np.argsort(rng.random((*size, among)), axis=-1)[..., :take].astype(np.int64)
