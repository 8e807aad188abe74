"""The preference schema: every item has a truth, and what has none is no item."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import load_dataset
from hypothesis import given
from hypothesis import strategies as st

from modeling_grm.data.preference import NoTruth, Preference, Report, features, from_row, to_dataset, unique
from modeling_grm.rows import Row
from modeling_grm.types_grm import InvalidInput, Request

TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=1, max_size=6)


def item(responses: list[str], best: int | None, labels: tuple[float, ...] | None, query: str = "q") -> Preference:
    return Preference(Request(query, responses), best, labels, "made up", "mit", "a-1")


@given(TEXTS, st.data())
def test_every_item_has_one_truth(responses: list[str], data: st.DataObject) -> None:
    n = len(responses)
    best = data.draw(st.none() | st.integers(-1, n))
    labels = data.draw(st.none() | st.lists(st.sampled_from((0.0, 1.0, 2.0)), min_size=n, max_size=n).map(tuple))
    try:
        made = item(responses, best, labels)
    except InvalidInput:
        return
    if n == 1:
        assert made.best is None
        assert made.label == labels[0]  # type: ignore[index]
    else:
        assert made.label is None
        assert best is not None
        assert responses.count(responses[best]) == 1
        assert labels is None or all(labels[best] > label for at, label in enumerate(labels) if at != best)


@pytest.mark.parametrize(
    ("responses", "best", "labels", "said"),
    [
        (["a", "b"], None, (1.0, 1.0), "no single best"),
        (["a", "b"], 0, (1.0, 1.0), "alone at the top"),
        (["a", "b"], 1, (1.0, 0.0), "alone at the top"),
        (["a", "b", "a"], 0, None, "twice"),
        (["a"], None, None, "single response"),
        (["a", "b"], 2, None, "none of 2"),
        (["a", "b"], True, None, "none of 2"),
        (["a"], 0, (1.0,), "leave it out"),
        (["a", "b"], 0, (1.0,), "one number"),
        (["a", "b"], 0, (1.0, float("nan")), "one number"),
    ],
)
def test_what_has_no_truth_is_refused(
    responses: list[str], best: int | None, labels: tuple[float, ...] | None, said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        item(responses, best, labels)


def test_what_is_dropped_and_what_is_an_error_differ() -> None:
    with pytest.raises(NoTruth):
        item(["a", "b"], None, None)
    with pytest.raises(InvalidInput) as error:
        item(["a", "b"], 5, None)
    assert not isinstance(error.value, NoTruth)


def test_rows_go_round_through_a_dataset(tmp_path: Path) -> None:
    made = [item(["a", "b"], 1, (0.0, 1.0)), item(["a"], None, (1.0,)), item(["x", "y"], 0, None)]
    dataset = to_dataset(made)
    assert dataset.features == features()
    dataset.to_parquet(tmp_path / "train.parquet")
    back = load_dataset(str(tmp_path), split="train", streaming=True)
    assert [from_row(row) for row in back] == made


def test_an_empty_dataset_has_the_columns() -> None:
    assert to_dataset([]).features == features()


def test_a_row_says_what_it_lacks() -> None:
    with pytest.raises(InvalidInput, match=r"has no responses; it has \['conversation'\]"):
        from_row({"conversation": [{"role": "user", "content": "q"}]})


def test_the_sample_fits_the_schema(sample_rows: list[Row]) -> None:
    """Real rows: what has a truth goes through, the rest is refused as having none."""
    kept, without = 0, 0
    for row in sample_rows:
        try:
            from_row({"conversation": list(row.request.query), **vars(row), "responses": row.request.responses})
            kept += 1
        except NoTruth:
            without += 1
    assert kept + without == len(sample_rows)
    assert kept > 100


def test_the_report_counts_and_refuses_nothing() -> None:
    report = Report()
    with pytest.raises(InvalidInput, match="there were none"):
        report.check()
    report.drop("a", "no single best", "a-1: why")
    report.drop("a", "no single best", "a-2: why")
    with pytest.raises(InvalidInput, match=r"none left of 2 .*2 of a: no single best"):
        report.check()
    report.keep("a")
    report.check()
    assert report.to_dict() == {
        "kept": {"a": 1},
        "dropped": [{"source": "a", "reason": "no single best", "rows": 2, "example": "a-1: why"}],
    }


def test_an_item_comes_once_in_whatever_order() -> None:
    report = Report()
    report.kept["made up"] = 3
    asked = [item(["a", "b"], 0, None), item(["b", "a"], 1, None), item(["a", "c"], 0, None)]
    assert list(unique(asked, report)) == [asked[0], asked[2]]
    assert report.dropped == {("made up", "the same item again"): 1}
    assert report.kept == {"made up": 2}
