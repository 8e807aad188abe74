"""The rows that are judged for training: each kind's share, short ones, the same from any order."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from conftest import ROOT
from recipe_scripts import module_of

from modeling_grm.data.drawing import words
from modeling_grm.types_grm import InvalidInput


def a_row(at: int, pool: str, strength: str, source: str, length: int) -> dict[str, Any]:
    return {
        "id": f"{pool}-{strength}-{source}-{at}",
        "licence": "mit",
        "pool": pool,
        "source": source,
        "subset": "wrong",
        "strength": strength if pool == "contrast" else None,
        "conversation": [{"role": "user", "content": "word " * length}],
        "responses": ["good", "bad"],
        "labels": [1, 0],
        "target": "what the judge would learn from",
    }


KINDS = (
    *(("contrast", strength, "QA-Feedback") for strength in ("plain", "clear", "subtle")),
    *(("verifiable", "", source) for source in ("GSM8K", "GSM8K, marked", "PRMBench")),
    ("whole", "", "UltraFeedback"),
    ("human", "", "hh-rlhf"),
)


@pytest.mark.parametrize(
    ("name", "hardest"), [("meta_rm", r"\('contrast', 'subtle'\): 39"), ("grpo", "'contrast: subtle': 25")]
)
def test_each_kind_has_its_share(name: str, hardest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe: Any = module_of(ROOT / "recipes" / name / "rows.py", monkeypatch)
    rows = [a_row(at, *kind, 10 if at % 2 else 600) for kind in KINDS for at in range(90)]
    found = list(recipe.chosen(rows, 100))
    assert Counter(map(recipe.kind, found)) == recipe.SHARES
    assert all(words(row) <= recipe.MOST_WORDS and "target" not in row for row in found)
    fewer = list(recipe.chosen(rows[::-1], 50))
    assert {row["id"] for row in fewer} < {row["id"] for row in found}, "a smaller draw is a part of a larger one"
    with pytest.raises(InvalidInput, match=f"too few rows for 200; missing: .*{hardest}"):
        list(recipe.chosen(rows, 200))
    with pytest.raises(InvalidInput, match=r"items: -1 is not usable"):
        list(recipe.chosen(rows, -1))
