"""pairing.py and comparing.py: two judges on the same items."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from shell import Grm
from stored import stored_item
from stores import requests, run

from modeling_grm.pairing import comparison, paired, sign_test
from modeling_grm.revoting import item_credits, revote
from modeling_grm.runs import Runs, load_runs
from modeling_grm.types_grm import InvalidInput


def runs(seed: int, names: range = range(40)) -> Runs:
    rng = random.Random(seed)
    return load_runs(row for at in names for row in stored_item(f"item {at:02}", 2 + at % 2, 6, rng))


def test_credits_are_those_of_revote() -> None:
    judged = runs(0)
    for rule in ("sum", "majority", "meta_topk"):
        for k in (1, 2, 6):
            found = item_credits(judged, k, rule)
            assert len(found) == 40
            accuracy = revote(judged, [k], [rule])[0]["accuracy"]
            assert sum(found.values()) / len(found) == pytest.approx(accuracy)


def test_a_judge_is_no_better_than_itself() -> None:
    report = comparison(runs(0), runs(0), [1, 4], ["sum", "majority"])
    assert [(point["rule"], point["k"]) for point in report["points"]] == [
        ("sum", 1),
        ("sum", 4),
        ("majority", 1),
        ("majority", 4),
    ]
    for point in report["points"]:
        assert (point["difference"], point["low"], point["high"]) == (0, 0, 0)
        assert (point["equal"], point["p"]) == (40, 1)


def test_a_difference_by_hand() -> None:
    a = {"w": 1.0, "x": 0.0, "y": 0.5, "z": 1.0}
    b = {"w": 1.0, "x": 1.0, "y": 1.0, "z": 0.0}
    found = paired(a, b, list("wxyz"))
    assert (found["a"], found["b"], found["difference"]) == (0.625, 0.75, 0.125)
    assert (found["a_better"], found["b_better"], found["equal"]) == (1, 2, 1)
    assert found["low"] < 0 < found["high"]


def test_the_pairs_make_the_interval_narrow() -> None:
    """Two judges that agree on all but two of 200 items: their own intervals say nothing of the difference."""
    a = {f"{at}": float(at % 2) for at in range(200)}
    b = a | {"0": 1.0, "2": 1.0}
    found = paired(a, b, sorted(a))
    assert found["difference"] == pytest.approx(0.01)
    assert found["high"] - found["low"] < 0.03


@pytest.mark.parametrize(("a", "b", "p"), [(0, 0, 1.0), (1, 1, 1.0), (0, 5, 2 / 32), (1, 9, 22 / 1024)])
def test_the_sign_test(a: int, b: int, p: float) -> None:
    assert sign_test(a, b) == sign_test(b, a) == pytest.approx(p)


def test_only_shared_items_count() -> None:
    report = comparison(runs(0, range(30)), runs(1, range(20, 40)), [2])
    assert (report["shared"], report["only_a"], report["only_b"]) == (10, 20, 10)
    with pytest.raises(InvalidInput, match="none of its 10 labelled items is among the 10 of A"):
        comparison(runs(0, range(10)), runs(0, range(20, 30)), [2])


def test_parts_are_told_apart() -> None:
    parts = {f"item {at:02}": "even" if at % 2 == 0 else "odd" for at in range(40)}
    found = comparison(runs(0), runs(1), [1, 6], ["sum", "majority"], parts=parts)
    assert [(part["part"], part["items"], part["k"], part["rule"]) for part in found["parts"]] == [
        ("even", 20, 6, "sum"),
        ("odd", 20, 6, "sum"),
    ]
    whole = found["points"][1]
    assert sum(part["difference"] for part in found["parts"]) / 2 == pytest.approx(whole["difference"])


def test_from_the_shell(tmp_path: Path, grm: Grm) -> None:
    run(tmp_path / "a", requests(12))
    run(tmp_path / "report" / "store", requests(8))
    code, out, _ = grm("compare", tmp_path / "a", tmp_path / "report", "--json")
    assert code == 0
    found: dict[str, Any] = json.loads(out)
    assert (found["shared"], found["only_a"], found["only_b"]) == (8, 4, 0)
    assert [point["k"] for point in found["points"]] == [1, 2, 4]
    assert {point["difference"] for point in found["points"]} == {0.0}
    code, out, err = grm("compare", tmp_path / "a", tmp_path / "report", "--k", "2,4", "--rule", "sum,majority")
    assert code == 0
    assert "8 items are in both; 4 only in A, 0 only in B" in err
    assert out.count("majority") == 2


def test_what_cannot_be_compared_is_named(tmp_path: Path, grm: Grm) -> None:
    run(tmp_path / "a", requests(4))
    run(tmp_path / "b", requests(8)[4:])
    for words, said in (
        ((tmp_path / "a", tmp_path / "b"), "none of its 4 labelled items"),
        ((tmp_path / "a", tmp_path / "no"), "no trajectory store"),
        ((tmp_path / "a", tmp_path / "a", "--rule", "best"), "rule: 'best' is not known"),
        ((tmp_path / "a", tmp_path / "a", "--k", "x"), "k: 'x' is not usable"),
        ((tmp_path / "a", tmp_path / "a", "--k", "9"), "k: 9 is above what is stored"),
        ((tmp_path / "a", tmp_path / "a", "--settings-b", "no"), "settings: 'no' is not in"),
    ):
        code, _, err = grm("compare", *words)
        assert code == 2
        assert said in err
