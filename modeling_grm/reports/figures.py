"""The figures of a benchmark run, as plain JSON: what `report.json` holds.

    benchmark_report("llmbar", loaded, answers, Ballot(k=8))
    -> {"benchmark": "llmbar", "partial": False, "headline": {"value": 0.81, "low": 0.77, "high": 0.85, ...}, ...}

Puts together what other files compute: the official metric with its intervals, votes of other sizes and rules, position
bias, and what needs no judge at all. Knows nothing about files or pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import benchmarks
from ..benchmarks.base import Item, Judged, Loaded
from ..bias import position_bias
from ..calibration import risk_coverage
from ..confidence_grm import raw_confidence
from ..revoting import revote
from ..runs import Runs, load_runs
from ..types_grm import InvalidInput, Outcome
from .answers import Answers, Ballot, Sample, Stored, critique_of, votes_of
from .spread import enough, spread

FORMAT = 1
META_RULES = ("meta_topk", "meta_soft", "random_topk", "length_topk")
DIGITS = 6
SHARES = (0.5, 0.9)

HEURISTICS: dict[str, Callable[[Sequence[str]], tuple[float, ...]]] = {
    "shortest": lambda responses: tuple(-float(len(text)) for text in responses),
    "longest": lambda responses: tuple(float(len(text)) for text in responses),
    "first": lambda responses: tuple(float(at == 0) for at in range(len(responses))),
}
"""What needs no judge: scores from the number of characters, or from the place in the item's own order."""

ORDERS = {
    True: "both orders of each pair were judged, and each decides alone, as in the official code; what is counted our "
    "way is the mean of both",
    False: "the official code judges both orders of each pair; here one vote an item stands for both",
}
"""Whether the orders were judged apart -> what a report says of a benchmark whose protocol judges both."""


def run_report(judge: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], version: str) -> dict[str, Any]:
    """Everything that a run says: the judge, and each benchmark by name."""
    return {
        "format": FORMAT,
        "modeling_grm": version,
        "judge": dict(judge),
        "partial": any(part["partial"] for part in parts),
        "benchmarks": {part["benchmark"]: dict(part) for part in parts},
    }


def judge_of(stored: Stored) -> dict[str, Any]:
    """Who judged and how, from the store alone; an adapter by its own name, its base stands in the settings."""
    model, revision = stored.settings["model"], stored.settings["revision"]
    if adapter := stored.settings.get("adapter"):
        model, _, revision = adapter.partition("@")
    return {
        "kind": "grm",
        "model": model,
        "revision": revision or None,
        "meta_model": stored.meta_model,
        "settings": dict(stored.settings),
        "engine": list(stored.versions),
    }


def benchmark_report(
    name: str,
    loaded: Loaded,
    answers: Answers,
    ballot: Ballot | None,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """The figures of one benchmark, rounded to 6 digits.

    Args:
        name: of the benchmark.
        loaded: its items.
        answers: what the judge said of each.
        ballot: how its samples were voted on; None for a judge without samples, whose report has no votes of other
            sizes, position bias or histogram.
        seed: of the bootstrap.

    Raises:
        InvalidInput: no items.
    """
    if not answers.judged:
        raise InvalidInput(f"{name}: no items are left to report on; give a larger --limit or another --subset")
    about = benchmarks.BENCHMARKS[name]
    counted = answers.apart or answers.judged
    resamples = enough(len(counted))
    report: dict[str, Any] = {
        "benchmark": name,
        "hub_id": list(about.hub_id),
        "metric": about.metric,
        "source": about.source,
        "licence": about.licence,
        "where": loaded.where,
        "partial": loaded.partial,
        "rows": {"official": about.rows, "items": len(answers.judged), "dropped": dict(loaded.dropped)},
        "empty_responses": loaded.empty,
        "refused": dict(answers.refused),
        "vote": None if ballot is None else ballot.to_dict(),
        "resamples": resamples,
        **spread(lambda some: benchmarks.official(name, some), counted, resamples, seed),
        "heuristics": heuristics(name, answers.judged),
    }
    report["notes"] += [ORDERS[bool(answers.apart)]] if about.both_orders else []
    report["risk_coverage"] = _risk(answers)
    if ballot is not None and answers.samples:
        report |= _sampled(name, answers, ballot, seed)
    return dict(_rounded(report))


def heuristics(name: str, judged: Sequence[Judged]) -> dict[str, float | None]:
    """The headline that each of `HEURISTICS` reaches on the same items."""
    reached = {}
    for heuristic, scores in HEURISTICS.items():
        blind = [Judged(one.item, scores(one.item.request.responses)) for one in judged]
        reached[heuristic] = benchmarks.official(name, blind)["headline"]["value"]
    return reached


def _sampled(name: str, answers: Answers, ballot: Ballot, seed: int) -> dict[str, Any]:
    """What samples tell beyond their vote."""
    runs = load_runs(answers.samples)
    ks, k_metas = sizes(ballot.k), dict.fromkeys((None, ballot.k_meta))
    several = any(group.n > 1 for group in runs.groups)
    return {
        "outcomes": dict(sorted(Counter(row["outcome"] for row in answers.samples).items())),
        "curve": revote(runs, ks, _rules(runs, ballot), list(k_metas), quorum=ballot.quorum, seed=seed)
        if runs.labelled
        else [],
        "curve_leaves_out": runs.excluded,
        "headline_by_k": [{"k": k, "value": _headline_at(k, name, answers, ballot)} for k in ks],
        "position_bias": position_bias(runs, seed=seed) if several else None,
        "histogram": histogram(answers),
        "tokens": _tokens(answers),
    }


def sizes(k: int) -> list[int]:
    """1, 2, 4, ... and k itself."""
    return sorted({2**power for power in range(k.bit_length()) if 2**power <= k} | {k})


def _rules(runs: Runs, ballot: Ballot) -> list[str]:
    """The vote that was asked for, the plain one, and those for which the samples have what they need."""
    rated = any((~np.isnan(group.meta)).any() for group in runs.labelled)
    expected = any((~np.isnan(group.expected) & group.ok[..., None]).any() for group in runs.labelled)
    counted = any((group.tokens > 0).any() for group in runs.labelled)
    guided = [rule for rule in META_RULES if rated and (counted or rule != "length_topk")]
    return list(dict.fromkeys(["sum", *([ballot.rule] if ballot.rule else []), *["expected"] * expected, *guided]))


def _headline_at(k: int, name: str, answers: Answers, ballot: Ballot) -> float | None:
    """The official headline of the first k samples of each item."""
    fewer = replace(ballot, k=k, k_meta=None if ballot.k_meta is None else min(k, ballot.k_meta))
    judged = votes_of(answers, ballot.k, fewer)
    value: float | None = benchmarks.official(name, judged)["headline"]["value"]
    return value


def _risk(answers: Answers) -> dict[str, Any] | None:
    """Error among the items that the judge is surest of; None where no item has a labelled best."""
    whole = zip(answers.judged, _by_item(answers), strict=True)
    pairs = [(one, rows) for one, rows in whole if one.item.best is not None]
    if not pairs:
        return None
    sure = [_sureness(one, rows) for one, rows in pairs]
    right = [float(_winner(one.scores) == one.item.best) for one, _ in pairs]
    return risk_coverage(sure, right)


def _by_item(answers: Answers) -> list[Sequence[Sample]]:
    if not answers.samples:
        return [()] * len(answers.judged)
    k = len(answers.samples) // len(answers.judged)
    return [answers.samples[at * k : at * k + k] for at in range(len(answers.judged))]


def _winner(scores: Sequence[float] | None) -> int | None:
    if scores is None or list(scores).count(max(scores)) > 1:
        return None
    return list(scores).index(max(scores))


def _sureness(one: Judged, rows: Sequence[Sample]) -> float | None:
    """What the samples say of the winner (`confidence_grm.raw_confidence`), or its margin where there are none."""
    won = _winner(one.scores)
    if won is None or one.scores is None:
        return None
    if rows:
        votes = [critique_of(row).scores for row in rows if row["outcome"] == Outcome.OK.value]
        return raw_confidence([vote for vote in votes if vote is not None], won)
    return one.scores[won] - max(score for at, score in enumerate(one.scores) if at != won)


def histogram(answers: Answers) -> dict[str, dict[str, int]]:
    """How often each score was given, by what the response was labelled."""
    counts: dict[str, Counter[int]] = {}
    for one, rows in zip(answers.judged, _by_item(answers), strict=True):
        for row in rows:
            for at, score in enumerate(row["scores"] or ()):
                counts.setdefault(_labelled(one.item, at), Counter())[score] += 1
    return {name: {str(score): found[score] for score in sorted(found)} for name, found in sorted(counts.items())}


def _labelled(item: Item, at: int) -> str:
    if item.best is not None:
        return "best" if at == item.best else "other"
    return "unlabelled" if item.labels is None else f"label {item.labels[at]:g}"


def _tokens(answers: Answers) -> dict[str, Any] | None:
    """Tokens written and read an item, over all its samples; None where the engine counts none."""
    judged = [rows for rows in _by_item(answers) if any(row["completion_tokens"] for row in rows)]
    if not judged:
        return None
    columns = {"written": "completion_tokens", "read": "prompt_tokens"}
    totals = {name: [sum(row[column] or 0 for row in rows) for rows in judged] for name, column in columns.items()}
    return {name: _spread_of(counts) for name, counts in totals.items()}


def _spread_of(counts: Sequence[int]) -> dict[str, Any]:
    edges = np.histogram_bin_edges(counts, bins="sturges")
    found, _ = np.histogram(counts, edges)
    quantiles = {f"p{round(share * 100)}": float(np.quantile(counts, share)) for share in SHARES}
    return {"mean": float(np.mean(counts)), **quantiles, "edges": edges.tolist(), "counts": found.tolist()}


def _rounded(found: Any) -> Any:
    """Floats with 6 digits behind the point, so that another machine's rounding writes the same file."""
    if isinstance(found, Mapping):
        return {str(name): _rounded(value) for name, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [_rounded(value) for value in found]
    return round(float(found), DIGITS) if isinstance(found, (float, np.floating)) else found
