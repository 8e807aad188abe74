"""runs.py: stored rows become arrays in whatever order they come; what does not fit is named."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from stored import stored_item

from modeling_grm.runs import COLUMNS, UNKNOWN, Runs, _Row, load_runs
from modeling_grm.types_grm import InvalidInput


def rows_of(*shapes: tuple[str, int, int], seed: int = 0) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [row for item, n, k in shapes for row in stored_item(item, n, k, rng)]


def assert_same(one: Runs, other: Runs) -> None:
    assert len(one.groups) == len(other.groups)
    for here, there in zip(one.groups, other.groups, strict=True):
        assert here.items == there.items
        for name in ("sample", "ok", "scores", "expected", "meta", "tokens", "seed", "order", "best"):
            np.testing.assert_array_equal(getattr(here, name), getattr(there, name))


MIXED = (("b", 2, 4), ("a", 2, 4), ("c", 3, 4), ("d", 2, 5), ("e", 1, 4))


def test_rows_become_arrays() -> None:
    rows = rows_of(*MIXED)
    runs = load_runs(rows)
    assert [(group.items, group.n, group.k) for group in runs.groups] == [
        (("e",), 1, 4), (("a", "b"), 2, 4), (("d",), 2, 5), (("c",), 3, 4)
    ]  # fmt: skip
    assert runs.counts == {4: 4, 5: 1}
    for group in runs.groups:
        for at, item in enumerate(group.items):
            for sample, row in enumerate(row for row in rows if row["item"] == item):
                assert group.ok[at, sample] == (row["outcome"] == "ok")
                assert group.scores[at, sample].tolist() == (row["scores"] or [0] * group.n)
                assert group.order[at, sample].tolist() == row["order"]
                assert (group.tokens[at, sample], group.seed[at, sample]) == (row["completion_tokens"], row["seed"])
                assert group.meta[at, sample] == row["meta_score"] or np.isnan(group.meta[at, sample])


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = rows_of(*MIXED)
    turned = rows.copy()
    random.Random(1).shuffle(turned)
    assert_same(load_runs(rows), load_runs(iter(turned)))


def test_arrow_batches_are_read_like_rows() -> None:
    rows = rows_of(*MIXED)
    table = pa.Table.from_pylist([{**row, "text": "not read"} for row in rows])
    assert_same(load_runs(rows), load_runs(table.to_batches(max_chunksize=3)))
    assert_same(load_runs(rows), load_runs([table]))
    assert _Row._fields == COLUMNS


def test_optional_columns_may_be_absent() -> None:
    rows = rows_of(("a", 2, 4))
    few = [{name: row[name] for name in ("item", "n", "sample", "order", "outcome", "scores")} for row in rows]
    for stored in (few, pa.Table.from_pylist(few).to_batches()):
        (group,) = load_runs(stored).groups
        assert group.best.tolist() == [UNKNOWN]
        assert not group.tokens.any()
        assert np.isnan(group.meta).all()
        assert np.isnan(group.expected).all()


@pytest.mark.parametrize(
    ("best", "labels", "known"),
    [(1, None, 1), (None, [0.5, 0.2], 0), (None, [1.0, 1.0], UNKNOWN), (None, None, UNKNOWN), (0, [0.0, 1.0], 0)],
)
def test_the_best_is_the_one_named_or_the_highest_label(best: Any, labels: Any, known: int) -> None:
    rows = [{**row, "best": best, "labels": labels} for row in rows_of(("a", 2, 2))]
    assert load_runs(rows).groups[0].best.tolist() == [known]


def test_items_that_cannot_count_are_counted() -> None:
    rows = rows_of(("a", 2, 2), ("b", 1, 2), ("c", 3, 2), ("d", 2, 2))
    runs = load_runs([{**row, "best": None if row["item"] == "d" else 0} for row in rows])
    assert runs.excluded == {"one response": 1, "no labelled best": 1}
    assert [group.items for group in runs.labelled] == [("a",), ("c",)]


def test_a_label_that_only_some_rows_carry_holds_for_all() -> None:
    rows = rows_of(("a", 2, 4))
    assert load_runs([{**row, "best": 1 if row["sample"] > 1 else None} for row in rows]).groups[0].best.tolist() == [1]


BAD: list[tuple[Any, str]] = [
    (lambda rows: [], "no samples"),
    (lambda rows: [*rows, rows[2]], "there twice, first sample 2 of item a"),
    (lambda rows: [*rows, {**rows[0], "n": 3}], "has 2 responses in one row and 3 in another"),
    (lambda rows: [{**rows[0], "best": 1}, *rows[1:]], "best: item a has 1 in one row and 0 in another"),
    (lambda rows: [{**row, "best": 2} for row in rows], "best: 2 of item a"),
    (lambda rows: [{**row, "outcome": "ok", "scores": [1]} for row in rows], "sample 0 of item a does not fit"),
    (lambda rows: [{**row, "outcome": "ok", "scores": None} for row in rows], "sample 0 of item a does not fit"),
    (lambda rows: [{name: row[name] for name in row if name != "order"} for row in rows], "the rows have no order"),
]


@pytest.mark.parametrize(("spoil", "said"), BAD)
def test_what_does_not_fit_is_named(spoil: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        load_runs(spoil(rows_of(("a", 2, 4))))
