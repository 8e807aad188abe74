"""reports/: figures from items and stored samples, tables and entries from figures."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from benched import SUBSETS, scored, write_llmbar
from huggingface_hub import parse_eval_result_entries
from transformers import pipeline

from modeling_grm.backends.fake import Fake
from modeling_grm.benchmarks import BENCHMARKS, load_items
from modeling_grm.benchmarks.base import Item, Judged, Loaded, swapped
from modeling_grm.bootstrap import intervals
from modeling_grm.judging import judge_all, store_report
from modeling_grm.reports import (
    Answers,
    Ballot,
    answered,
    benchmark_report,
    card_table,
    entry_files,
    eval_entries,
    load_stored,
    note_refusal,
    read_report,
    refusals,
    sizes,
    write,
    write_pictures,
)
from modeling_grm.reports.figures import histogram
from modeling_grm.reports.spread import spread
from modeling_grm.reports.tables import cell, markdown, table
from modeling_grm.types_grm import InvalidInput, Request

NAME = "llmbar"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load_items(NAME, data=write_llmbar(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, loaded: Loaded) -> Path:
    folder = tmp_path_factory.mktemp("run") / "store"
    task: Any = "reward-scoring"
    pipe = pipeline(task, model=Fake(scored))
    assert judge_all({NAME: loaded}, pipe, {"k": 8, "seed": 0}, folder, "fake", text=False)[0] == 8
    return folder


@pytest.fixture(scope="module")
def report(store: Path, loaded: Loaded) -> dict[str, Any]:
    return store_report({NAME: loaded}, store, Ballot(8))


def whole(report: dict[str, Any]) -> dict[str, Any]:
    """The same as if it were of all rows."""
    parts = {name: part | {"partial": False} for name, part in report["benchmarks"].items()}
    return report | {"partial": False, "benchmarks": parts}


def test_the_other_order_has_the_other_scores(store: Path, loaded: Loaded) -> None:
    stored = load_stored(store)
    items = loaded.items
    mine = answered(items, stored, Ballot(8))
    turned = answered([swapped(item) for item in items], stored, Ballot(8))
    for one, other in zip(mine.judged, turned.judged, strict=True):
        assert other.scores == (None if one.scores is None else one.scores[::-1])
    for one, other in zip(mine.samples, turned.samples, strict=True):
        assert [1 - at for at in one["order"]] == other["order"]


def test_a_report_is_the_same_from_shuffled_items(store: Path, loaded: Loaded, report: dict[str, Any]) -> None:
    items = list(loaded.items)
    random.Random(0).shuffle(items)
    again = store_report({NAME: replace(loaded, items=items)}, store, Ballot(8))
    assert again == report


def test_a_shorter_vote_comes_from_the_same_store(store: Path, loaded: Loaded, report: dict[str, Any]) -> None:
    found = store_report({NAME: loaded}, store, Ballot(2))["benchmarks"][NAME]
    by_k = {point["k"]: point["value"] for point in report["benchmarks"][NAME]["headline_by_k"]}
    assert found["headline"]["value"] == by_k[2]
    assert list(by_k) == sizes(8) == [1, 2, 4, 8]
    assert sizes(6) == [1, 2, 4, 6]


def test_refusals_are_kept_once(tmp_path: Path) -> None:
    for reason in ("too long", "too long", "odd"):
        note_refusal(tmp_path, "abc", reason)
    assert refusals(tmp_path) == {"abc": "odd"}
    assert len((tmp_path / "refused.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def pairs(right: Sequence[float], subset: str = "s") -> list[Judged]:
    request = Request("q", ["a", "b"])
    item = Item("", request, subset, 0, (1.0, 0.0))
    return [Judged(replace(item, id=f"{subset}{at}"), (float(one), 1.0 - one)) for at, one in enumerate(right)]


def accuracy(judged: Sequence[Judged]) -> dict[str, Any]:
    right = [float(one.scores is not None and one.scores[0] > one.scores[1]) for one in judged]
    names = {one.item.id for one in judged}
    assert len(names) == len(judged)
    return {"headline": {"name": "accuracy", "value": sum(right) / len(right)}, "notes": ["a note"]}


def test_the_interval_of_a_mean_is_the_bootstraps() -> None:
    import numpy as np

    right = [float(at % 3 > 0) for at in range(90)]
    found = spread(accuracy, pairs(right), resamples=1000)
    low, high = intervals(np.array(right)[:, None], np.ones((90, 1)))
    assert found["headline"]["low"] == pytest.approx(low[0], abs=0.02)
    assert found["headline"]["high"] == pytest.approx(high[0], abs=0.02)
    assert found["notes"] == ["a note"]


def test_where_all_are_right_wilson_speaks() -> None:
    found = spread(accuracy, pairs([1.0] * 20), resamples=50)["headline"]
    assert (found["value"], found["high"]) == pytest.approx((1, 1))
    assert found["low"] == pytest.approx(0.839, abs=0.001)


def test_a_unit_stays_together() -> None:
    """Nine items of one row say no more than one of them: their interval is that of the rows."""
    alone = pairs([float(at % 2) for at in range(20)])
    nine = [
        replace(one, item=replace(one.item, id=f"{one.item.id}/{at}", meta={"unit": one.item.id}))
        for one in alone
        for at in range(9)
    ]
    one, other = (spread(accuracy, judged, resamples=400)["headline"] for judged in (alone, nine))
    assert (other["low"], other["high"]) == pytest.approx((one["low"], one["high"]))


def test_a_subset_keeps_its_weight_and_small_ones_are_pooled() -> None:
    judged = pairs([1.0, 0.0] * 6, "large") + pairs([1.0], "one") + pairs([0.0, 1.0], "two")
    seen = []

    def official(some: Sequence[Judged]) -> dict[str, Any]:
        seen.append(sorted(one.item.subset for one in some))
        return accuracy(some)

    spread(official, judged, resamples=40)
    assert {names.count("large") for names in seen} == {12}
    assert {len(names) for names in seen} == {15}
    assert len({names.count("one") for names in seen}) > 1


def test_a_single_item_is_not_sure() -> None:
    found = spread(accuracy, pairs([1.0]), resamples=20)["headline"]
    assert (found["low"], found["high"]) == pytest.approx((0.207, 1), abs=0.001)


def test_a_unit_that_is_drawn_twice_is_two() -> None:
    """Official metrics that put items together again must not merge the copies of one."""
    about = BENCHMARKS["rewardbench2"]
    rows = [
        {"id": f"{kind}:{at}", "prompt": f"q{at}", "chosen": right, "rejected": ["pink"], "subset": "Ties"}
        for at in range(6)
        for kind, right in (("ref", ["red"]), ("tied", ["red", "blue"]))
    ]
    judged = [Judged(item, (float(at % 5),)) for at, item in enumerate(i for r in rows for i in about.items(r, None))]
    seen = []

    def official(some: Sequence[Judged]) -> dict[str, Any]:
        found = about.official(some)
        seen.append(found["subsets"]["Ties"]["rows"])
        return found

    spread(official, judged, resamples=20)
    assert set(seen) == {12}


def test_histogram_by_label() -> None:
    request, single = Request("q", ["a", "b"]), Request("q", ["a"])
    items = [Item("p", request, "s", 1, (0.0, 1.0)), Item("o", single, "s", None, (1.0,)), Item("u", single, "s")]
    rows = [{"scores": [3, 8]}, {"scores": None}, {"scores": [6]}, {"scores": [6]}, {"scores": [1]}, {"scores": [2]}]
    answers = Answers([Judged(item) for item in items], rows)
    assert histogram(answers) == {
        "best": {"8": 1},
        "label 1": {"6": 2},
        "other": {"3": 1},
        "unlabelled": {"1": 1, "2": 1},
    }


def test_what_it_says_in_markdown(report: dict[str, Any]) -> None:
    text = markdown(report)
    part = report["benchmarks"][NAME]
    assert text.startswith(f"# fake: {NAME} (partial)\n")
    assert f"## {NAME} (partial: 30 items of 419 official rows)" in text
    assert f"| mean of five subsets | 30 | {part['headline']['value']:.3f} |" in text
    for subset in SUBSETS:
        assert f"| subset: {subset} | 6 |" in text
    assert "(partial" not in markdown(whole(report)).split("\n", 1)[0]


def test_text_stays_in_its_cell() -> None:
    assert cell("a | b\n<img src=x>") == "a \\| b &lt;img src=x>"
    assert table(("name", "value"), [["a|b", 0.5], ["c", None]]).splitlines() == [
        "| name | value |",
        "| --- | ---: |",
        "| a\\|b | 0.500 |",
        "| c | - |",
    ]


def test_a_partial_result_is_no_entry(report: dict[str, Any]) -> None:
    assert eval_entries(report) == {}
    assert "llmbar (partial)" in card_table(report)


def test_entries_are_what_the_hub_reads(report: dict[str, Any]) -> None:
    files = entry_files(whole(report), source_url="https://huggingface.co/org/grm", source_name="report")
    assert list(files) == [".eval_results/llmbar.yaml"]
    (entry,) = parse_eval_result_entries(yaml.safe_load(files[".eval_results/llmbar.yaml"]))
    assert entry.dataset_id == "princeton-nlp/LLMBar"
    assert entry.value == report["benchmarks"][NAME]["headline"]["value"]
    assert "k = 8, vote: sum" in (entry.notes or "")
    assert "95% interval" in (entry.notes or "")


def test_files_come_back(report: dict[str, Any], tmp_path: Path) -> None:
    write(report, tmp_path / "new")
    assert read_report(tmp_path / "new") == report
    assert read_report(tmp_path / "new" / "report.json") == report
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_report(tmp_path)
    (tmp_path / "report.json").write_text('{"format": 0}', encoding="utf-8")
    with pytest.raises(InvalidInput, match="format 0, this version reads 1"):
        read_report(tmp_path)


def test_pictures_are_the_same_each_time(report: dict[str, Any], tmp_path: Path) -> None:
    first = {path.name: path.read_bytes() for path in write_pictures(report, tmp_path)}
    again = {path.name: path.read_bytes() for path in write_pictures(report, tmp_path)}
    assert first == again
    assert len(first) == 6


def test_without_a_best_the_headline_is_drawn(report: dict[str, Any], tmp_path: Path) -> None:
    part = report["benchmarks"][NAME] | {"curve": [], "position_bias": None, "risk_coverage": None, "tokens": None}
    drawn = write_pictures(report | {"benchmarks": {NAME: part}}, tmp_path)
    assert [path.name for path in drawn] == ["llmbar-headline.png", "llmbar-subsets.png", "llmbar-scores.png"]


def test_nothing_to_report_is_named(loaded: Loaded) -> None:
    with pytest.raises(InvalidInput, match="no items are left"):
        benchmark_report(NAME, loaded, Answers([]), None)
