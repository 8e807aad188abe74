"""The benchmarks on real rows, where `GRM_DATA` has them: what is read, and what a perfect and a blind judge get."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from modeling_grm.benchmarks import BENCHMARKS, Judged, Loaded, load_items, official

# benchmark: items, what is left out, empty responses
FOUND = {
    "rewardbench": (1228, {}, 0),
    "rmb": (10154 + 2669, {}, 2),
    "rm-bench": (798, {}, 0),
    "pandalm": (894, {"the responses have one label": 105}, None),
    "autoj": (1019, {"the responses have one label": 373}, None),
    "alpacaeval-pairs": (2412, {}, 0),
    "alpacaeval-best-of-11": (788, {"the responses have one label": 17}, 0),
    "gsm8k-best-of-4": (731, {"the responses have one label": 588}, 0),
    "math-best-of-8": (10, {"the responses have one label": 90}, 0),
    "bigbench-mistake": (2186, {}, 0),
    "processbench": (1800, {}, 0),
    "prometheus": (640, {}, 0),
}


@pytest.fixture(scope="module")
def loaded(grm_data: Path) -> dict[str, Loaded]:
    return {name: load_items(name, data=grm_data / "eval") for name in FOUND}


@pytest.mark.parametrize("name", FOUND)
def test_what_is_read(loaded: dict[str, Loaded], name: str) -> None:
    count, dropped, empty = FOUND[name]
    assert (len(loaded[name].items), loaded[name].dropped) == (count, dropped)
    assert len({item.id for item in loaded[name].items}) == count
    assert empty is None or loaded[name].empty == empty


def test_what_is_partial(loaded: dict[str, Loaded]) -> None:
    partial = {name for name, found in loaded.items() if found.partial}
    assert partial == {"rewardbench", "rmb", "rm-bench", "processbench"}


@pytest.mark.parametrize("name", FOUND)
def test_a_perfect_judge(loaded: dict[str, Loaded], name: str) -> None:
    judged = [Judged(item, item.labels) for item in loaded[name].items]
    found = official(name, judged)
    best = found["sections"].get("best possible", {"value": 1.0})["value"]
    assert found["headline"]["value"] == pytest.approx(best)
    assert found["ours"]["coverage"] == 1


@pytest.mark.parametrize("name", FOUND)
def test_a_judge_that_says_nothing(loaded: dict[str, Loaded], name: str) -> None:
    found = official(name, [Judged(item) for item in loaded[name].items])
    nothing = {"rewardbench": 0.5} | dict.fromkeys(("bigbench-mistake", "processbench", "prometheus"))
    assert found["headline"]["value"] == nothing.get(name, 0.0)
    assert found["ours"]["coverage"] == 0


def test_the_place_says_nothing(loaded: dict[str, Loaded]) -> None:
    for name in ("rewardbench", "rmb", "pandalm", "gsm8k-best-of-4"):
        first = [Judged(item, (1.0,) + (0.0,) * (item.request.n - 1)) for item in loaded[name].items]
        chance = sum(sum(item.labels or ()) / item.request.n for item in loaded[name].items) / len(first)
        got = sum((one.item.labels or (0.0,))[0] for one in first) / len(first)
        assert abs(got - chance) < 0.06, name


def test_best_of_eleven_against_the_known_figures(loaded: dict[str, Loaded]) -> None:
    found = official("alpacaeval-best-of-11", [Judged(item) for item in loaded["alpacaeval-best-of-11"].items])
    # over all 805 rows 0.320 and 0.592
    assert found["sections"]["by chance"]["value"] == pytest.approx(0.320, abs=0.01)
    assert found["sections"]["best possible"]["value"] == pytest.approx(0.592, abs=0.01)


def test_rewardbench_has_the_official_subsets(loaded: dict[str, Loaded]) -> None:
    subsets = Counter(item.subset for item in loaded["rewardbench"].items)
    assert set(subsets) < set(BENCHMARKS["rewardbench"].subsets)
    assert subsets["hep-cpp"] == 164


def test_every_beginning_holds_every_scenario(loaded: dict[str, Loaded]) -> None:
    beginning = loaded["rmb"].items[:200]  # what a limit of 200 takes
    assert len({item.subset for item in beginning}) == 95  # 46 files of pairs and 49 of lists
