"""Rows as a trajectory store holds them, and the same samples as critiques: for tests of votes over stored runs."""

from __future__ import annotations

import random
from typing import Any

from modeling_grm.types_grm import Critique, Outcome
from modeling_grm.voting_grm import orders


def stored_item(
    item: str, n: int, k: int, rng: random.Random, *, failing: float = 0.2, best: int | None = 0, slot_bonus: int = 0
) -> list[dict[str, Any]]:
    """k rows of one item: small scores so that ties are common, some failures, some ratings and lengths missing."""
    rows = []
    for sample, (order, seed) in enumerate(orders(item, n, k)):
        ok = rng.random() >= failing
        scores = [rng.randint(1, 4) + (slot_bonus if order[0] == at else 0) for at in range(n)]
        rows.append(
            {
                "item": item,
                "n": n,
                "sample": sample,
                "order": list(order),
                "seed": seed,
                "outcome": "ok" if ok else "truncated",
                "scores": scores if ok else None,
                "expected": [score + rng.choice((-0.4, 0.0, 0.3)) for score in scores] if rng.random() < 0.8 else None,
                "meta_score": rng.choice((None, float("nan"), -15.8, -2.0, 0.0, 0.5, 1.7)),
                "completion_tokens": rng.choice((0, 100, 150, 201)),
                "labels": None,
                "best": best,
            }
        )
    return rows


def as_critique(row: dict[str, Any]) -> Critique:
    """A stored row as the critique that it came from."""
    return Critique(
        "",
        Outcome(row["outcome"]),
        tuple(row["order"]),
        row["seed"],
        scores=None if row["scores"] is None else tuple(row["scores"]),
        meta_score=row["meta_score"],
        completion_tokens=row["completion_tokens"],
        expected=None if row["expected"] is None else tuple(row["expected"]),
    )
