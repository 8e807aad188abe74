"""subsets.py: every subset keeps the design, all are there once, and draws are even."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_grm.subsets import count, draws, subsets

SHAPES = (
    st.integers(1, 4)
    .flatmap(lambda n: st.tuples(st.just(n), st.integers(1, 10)))
    .flatmap(lambda shape: st.tuples(st.just(shape[0]), st.just(shape[1]), st.integers(1, shape[1])))
)


def keeps_design(places: tuple[int, ...], n: int) -> bool:
    """Whole blocks of n, and the rest from one further block."""
    taken = sorted(Counter(place // n for place in places).values())
    whole, rest = divmod(len(places), n)
    return taken == sorted([n] * whole + [rest] * bool(rest))


@given(SHAPES)
def test_all_subsets_that_keep_the_design_are_there_once(shape: tuple[int, int, int]) -> None:
    n, stored, k = shape
    expected = [places for places in combinations(range(stored), k) if keeps_design(places, n)]
    found = [tuple(places) for places in subsets(k, stored, n).tolist()]
    assert sorted(found) == expected
    assert count(k, stored, n) == len(expected) >= 1


COUNTS = [(8, 32, 2, 1820), (1, 32, 2, 32), (2, 32, 2, 16), (32, 32, 3, 1)]


@pytest.mark.parametrize(("k", "stored", "n", "many"), COUNTS)
def test_how_many_there_are(k: int, stored: int, n: int, many: int) -> None:
    assert count(k, stored, n) == many


@given(SHAPES, st.integers(0, 99))
def test_draws_keep_the_design(shape: tuple[int, int, int], seed: int) -> None:
    n, stored, k = shape
    places = draws(k, stored, n, (3, 4), np.random.default_rng(seed))
    assert places.shape == (3, 4, k)
    allowed = {tuple(row) for row in subsets(k, stored, n).tolist()}
    assert {tuple(row) for row in places.reshape(12, k).tolist()} <= allowed


@pytest.mark.parametrize(("k", "stored", "n"), [(3, 8, 2), (2, 8, 3), (4, 11, 3), (1, 5, 2), (2, 3, 4), (5, 8, 3)])
def test_draws_are_even(k: int, stored: int, n: int) -> None:
    size = 400 * count(k, stored, n)
    places = draws(k, stored, n, (1, size), np.random.default_rng(0))[0]
    met = Counter(map(tuple, places.tolist()))
    assert len(met) == count(k, stored, n)
    assert all(abs(times - 400) < 5 * 20 for times in met.values()), "400 expected of each, spread 20"
