"""plots.py: pictures hold every curve, are the same each time, and need no screen."""

from __future__ import annotations

import builtins
import random
import re
from pathlib import Path
from typing import Any

import pytest
from stored import stored_item

from modeling_grm.bias import position_bias
from modeling_grm.plots import curve, slots
from modeling_grm.revoting import revote
from modeling_grm.rules_grm import RULES
from modeling_grm.runs import Runs, load_runs
from modeling_grm.types_grm import InvalidInput


@pytest.fixture(scope="module")
def runs() -> Runs:
    rng = random.Random(0)
    return load_runs(row for at in range(20) for row in stored_item(f"item {at}", 2 + at % 2, 6, rng))


def texts(path: Path) -> str:
    """An SVG without its glyph outlines: matplotlib leaves each text as a comment."""
    return "\n".join(re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8")))


def test_every_curve_is_named(runs: Runs, tmp_path: Path) -> None:
    path = curve(revote(runs, [1, 2, 4], list(RULES), [None, 1]), tmp_path / "curve.svg", "A title")
    said = texts(path)
    labels = ("A title", "samples an item, k", "generated tokens an item", "accuracy (20 items)")
    assert [text for text in (*RULES, "meta_topk, k_meta 1", *labels) if text not in said] == []


def test_the_same_points_give_the_same_file(runs: Runs, tmp_path: Path) -> None:
    points = revote(runs, [1, 2, 4])
    for name in ("one.svg", "one.png"):
        first = curve(points, tmp_path / name).read_bytes()
        assert curve(points, tmp_path / f"another{name}").read_bytes() == first
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_without_tokens_there_is_one_panel(runs: Runs, tmp_path: Path) -> None:
    points = [{**point, "tokens": None} for point in revote(runs, [1, 2, 4])]
    assert "generated tokens" not in texts(curve(points, tmp_path / "curve.svg"))


def test_one_point_is_enough(runs: Runs, tmp_path: Path) -> None:
    assert curve(revote(runs, [3]), tmp_path / "curve.pdf").stat().st_size > 1000


def test_slot_effects_are_drawn(runs: Runs, tmp_path: Path) -> None:
    said = texts(slots(position_bias(runs), tmp_path / "slots.svg"))
    assert "2 responses" in said
    assert "3 responses" in said


def test_what_cannot_be_drawn_is_named(runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"path: .*\.gif.*end it in \.png, \.svg, \.pdf"):
        curve(revote(runs, [1]), tmp_path / "curve.gif")
    with pytest.raises(InvalidInput, match="nothing to draw"):
        curve([], tmp_path / "curve.png")
    with pytest.raises(InvalidInput, match="nothing to draw"):
        slots({"n": {"2": {"items_balanced": 0}}}, tmp_path / "slots.png")


def test_the_missing_library_is_named(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=re.escape("pip install 'modeling-grm[plots]'")):
        curve(revote(runs, [1]), tmp_path / "curve.png")
