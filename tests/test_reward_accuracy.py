"""spaces/reward_accuracy: the metric's figures are the package's own, and it stands alone."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from random import Random
from typing import Any

import evaluate
import pytest

from modeling_grm.benchmarks.base import Item, Judged
from modeling_grm.benchmarks.metrics import ours
from modeling_grm.revoting import revote
from modeling_grm.runs import load_runs
from modeling_grm.types_grm import Request

SPACE = Path(__file__).resolve().parent.parent / "spaces" / "reward_accuracy"


@pytest.fixture(scope="module")
def metric(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return evaluate.load(str(SPACE), cache_dir=str(tmp_path_factory.mktemp("evaluate")))


def random_items(count: int, seed: int = 0) -> tuple[list[list[int]], list[int]]:
    """Small scores of three responses, so that ties are common; every sixth item has none."""
    rng = Random(seed)
    scores = [[rng.randint(1, 4) for _ in range(3)] if rng.random() > 1 / 6 else [] for _ in range(count)]
    return scores, [rng.randrange(3) for _ in range(count)]


def test_by_hand(metric: Any) -> None:
    found = metric.compute(predictions=[[3, 1], [2, 2]], references=[0, 1])
    assert (found["accuracy"], found["strict_accuracy"], found["tie_rate"]) == (0.75, 0.5, 0.5)
    assert (found["answered"], found["coverage"], found["items"]) == (0.75, 1.0, 2)
    found = metric.compute(
        predictions=[[3, 1], [2, 2], []], references=[0, 1, 0], subsets=["chat", "chat", "code"], resamples=200
    )
    assert (found["accuracy"], found["answered"]) == (0.5, 0.75)
    assert found["subsets"]["chat"]["accuracy"] == 0.75
    assert found["subsets"]["code"] | {"low": 0, "high": 0} == {
        "accuracy": 0.0,
        "low": 0,
        "high": 0,
        "strict_accuracy": 0.0,
        "answered": None,
        "coverage": 0.0,
        "tie_rate": None,
        "items": 1,
    }


def test_its_figures_are_the_packages_own(metric: Any) -> None:
    scores, best = random_items(300)
    rows = [
        {
            "item": f"{at:04}",
            "n": 3,
            "sample": 0,
            "order": [0, 1, 2],
            "outcome": "ok" if one else "no_scores",
            "scores": one or None,
            "best": best[at],
        }
        for at, one in enumerate(scores)
    ]
    runs = load_runs(rows)
    half, wrong = (revote(runs, [1], ties=ties, seed=5)[0] for ties in ("half", "wrong"))
    found = metric.compute(predictions=scores, references=best, seed=5)
    for name, package in (
        ("accuracy", half["accuracy"]),
        ("low", half["low"]),
        ("high", half["high"]),
        ("answered", half["answered"]),
        ("coverage", half["coverage"]),
        ("tie_rate", half["tie_rate"]),
        ("strict_accuracy", wrong["accuracy"]),
    ):
        assert found[name] == pytest.approx(package, abs=1e-12), name


def test_its_figures_are_those_of_a_report(metric: Any) -> None:
    scores, best = random_items(200, seed=1)
    request = Request("q", ["a", "b", "c"])
    judged = [
        Judged(
            Item(str(at), request, "s", one, tuple(float(at == one) for at in range(3))),
            tuple(map(float, given)) or None,
        )
        for at, (given, one) in enumerate(zip(scores, best, strict=True))
    ]
    report = ours(judged)
    found = metric.compute(predictions=scores, references=best)
    for name, mine in (
        ("strict", "strict_accuracy"),
        ("answered", "answered"),
        ("coverage", "coverage"),
        ("tie_rate",) * 2,
    ):
        assert found[mine] == pytest.approx(report[name])


def test_where_all_are_right_the_interval_is_no_point(metric: Any) -> None:
    found = metric.compute(predictions=[[2, 1]] * 20, references=[0] * 20)
    assert found["accuracy"] == found["high"] == 1
    assert found["low"] == pytest.approx(0.839, abs=0.001)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"predictions": [[1, 2]], "references": [2]}, "references: 2 is none of 2 responses"),
        ({"predictions": [[1, 2]], "references": [-1]}, "references: -1 is none"),
        ({"predictions": [[1, float("nan")]], "references": [0]}, "no finite number"),
        ({"predictions": [[1, 2]], "references": [0], "subsets": ["a", "b"]}, "subsets: 2 given for 1 items"),
    ],
)
def test_bad_input_is_named(metric: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        metric.compute(**given)


def test_it_stands_alone() -> None:
    """A Space has what its requirements name, and `evaluate` reads one import a line."""
    asked = {
        (node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for path in SPACE.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    named = {line.partition(">")[0] for line in (SPACE / "requirements.txt").read_text(encoding="utf-8").split()}
    assert asked - sys.stdlib_module_names == named


def test_its_card_has_what_a_space_needs() -> None:
    from huggingface_hub import RepoCard

    data = RepoCard.load(SPACE / "README.md").data.to_dict()
    assert data["sdk"] == "gradio"
    assert data["app_file"] == "app.py"
    assert {"evaluate", "metric"} <= set(data["tags"])
