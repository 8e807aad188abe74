"""A judge's checkpoints side by side on the rows of `rows.py`: accuracy by pool, and what each stage gained, paired.

    grm score rows.jsonl.gz --model CHECKPOINT --k 8 --temperature 0.5 --rule sum --store runs/stages/rft  (each)
    python recipes/eval/stages.py rows.jsonl.gz base=runs/stages/base rft=runs/stages/rft --scalar runs/scalar
    python recipes/eval/stages.py rows.jsonl.gz rft=runs/stages/rft --report recipes/eval/report.json
    python recipes/eval/stages.py rows1500.jsonl.gz rft=runs/stages/rft --without rows400.jsonl.gz

The stores come in the order of the stages. Voting@1 is the mean over all samples of an item, Voting@k over subsets of
them. Of several responses a tie of m for the best counts 1/m; a single response is judged right where a score of 7 or
more meets a good one, or less a bad one. No answer is wrong; `ties` is the share of the readable judgements of several
responses that find no single best. Without texts a store does as well. Of more than 8 samples an item, what a vote of
8 gains is told beside what all of them do.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from shown import CHANCE, GREEDY, GUIDED, report, shown_k, summary, table

from modeling_grm.ballots import ballots
from modeling_grm.baselines import Baseline, make
from modeling_grm.benchmarks.base import Item
from modeling_grm.bias import position_bias
from modeling_grm.bootstrap import intervals
from modeling_grm.data.sources import read_records
from modeling_grm.loading import load
from modeling_grm.pairing import credit, item_credits, paired
from modeling_grm.reports import HEURISTICS
from modeling_grm.rules_grm import default_k_meta, find_rule
from modeling_grm.runs import COLUMNS, Group, Runs, load_runs
from modeling_grm.subsets import subsets
from modeling_grm.trajectories import read, settings_in
from modeling_grm.types_grm import InvalidInput, Request
from modeling_grm.voting_grm import item_hash

Credits = Mapping[str, float]
GOOD_FROM = 7
"""The least score, of 1 to 10, that says of a single response that it is good."""
NEAR = 0.1
"""Responses whose lengths in words differ by less than this share of the longer one."""
CONTROLS = ("random_topk", "length_topk")
META_RULES = (GUIDED, "meta_soft", *CONTROLS)
WRITTEN = ("item", "outcome", "constrained")


def is_good(label: float) -> bool:
    """Whether a single response's label, 0 or 1, or a score of 1 to 10, is a good one's."""
    return label == 1 or label >= GOOD_FROM


def single_credits(groups: Sequence[Group], k: int, labels: Mapping[str, float], rule: str) -> dict[str, float]:
    """Each item of one response: how often the mean ballot of k of its samples is on the right side."""
    found: dict[str, float] = {}
    unit = find_rule(rule).unit
    for group in groups:
        picked, box = subsets(k, group.k, 1), ballots(group, rule)
        able = box.able[:, picked]
        if box.rank is not None:
            able &= among_best(np.where(able, box.rank[:, picked], -np.inf), default_k_meta(k))
        weight = np.maximum((box.weight[:, picked] * able).sum(-1), 1)
        means = (box.votes[:, picked, 0] * able).sum(-1) / (weight * unit)
        good = np.array([is_good(labels[item]) for item in group.items])[:, None]
        right = (able.sum(-1) > 0) & ((means >= GOOD_FROM) == good)
        found |= dict(zip(group.items, right.mean(-1).tolist(), strict=True))
    return found


def among_best(ranks: np.ndarray, most: int) -> np.ndarray:
    """Which of the last axis are among that many highest, the earlier first in a tie."""
    order = np.argsort(-ranks, axis=-1, kind="stable")
    return np.argsort(order, axis=-1) < most


def item_of(row: Mapping[str, Any]) -> str:
    """The hash of its texts, under which a store has it."""
    return item_hash(Request(row["conversation"], row["responses"]))


def temperature(store: Path) -> float:
    """At which its samples were drawn.

    Raises:
        InvalidInput: at several.
    """
    found = sorted({float(settings["temperature"]) for settings in settings_in(store).values()})
    if len(found) != 1:
        raise InvalidInput(f"temperature: {store} has samples at {found}; compare stores of one temperature each")
    return found[0]


def unaided(batches: Iterable[Any], items: Container[str]) -> float:
    """The share of these items' judgements that could be read as they were written, with no scores line that they were
    made to write."""
    free = [
        outcome == "ok" and not made_to
        for batch in batches
        for item, outcome, made_to in zip(*(batch[name].to_pylist() for name in WRITTEN), strict=True)
        if item in items
    ]
    return sum(free) / len(free)


def only(runs: Runs, items: Container[str]) -> Runs:
    """The samples of these items."""
    found = (group.pick(np.array([item in items for item in group.items], dtype=bool)) for group in runs.groups)
    return Runs(tuple(group for group in found if len(group.items)))


def ties(runs: Runs) -> dict[str, float]:
    """Each item of several responses: the share of its readable judgements that find no single best."""
    found: dict[str, float] = {}
    for group in runs.groups:
        best = (group.scores == group.scores.max(-1, keepdims=True)).sum(-1) > 1
        counts = group.ok.sum(-1)
        shares = (best & group.ok).sum(-1) / np.maximum(counts, 1)
        found |= (
            {item: float(one) for item, one, n in zip(group.items, shares, counts, strict=True) if n}
            if group.n > 1
            else {}
        )
    return found


class Measured:
    """The rows by their hash, and each stage's samples.

    Args:
        rows: with `pool` and `labels`.
        stores: stage -> its store, in order.
        greedy: the last stage's store at temperature 0.
    """

    def __init__(
        self, rows: Sequence[Mapping[str, Any]], stores: Mapping[str, Path], greedy: Path | None = None
    ) -> None:
        self.rows = {item_of(row): row for row in rows}
        self.stages = tuple(stores)
        every = {**stores, **({GREEDY: greedy} if greedy else {})}
        self.temperatures = {name: temperature(store) for name, store in every.items()}
        self.singles = {key: row["labels"][0] for key, row in self.rows.items() if len(row["labels"]) == 1}
        self.runs: dict[str, Runs] = {}
        self.unaided: dict[str, float] = {}
        for name, store in every.items():
            batches = list(read(store, (*COLUMNS, "constrained")))
            runs = self.runs[name] = only(load_runs(batches), self.rows)
            missing = set(self.rows) - {item for group in runs.groups for item in group.items}
            if missing:
                raise InvalidInput(f"{name}: {len(missing)} of {len(self.rows)} rows are not in the store; score them")
            self.unaided[name] = unaided(batches, self.rows)

    def k(self, stage: str) -> int:
        """Samples an item."""
        return min(self.runs[stage].counts)

    def credits(self, stage: str, k: int, rule: str = "sum") -> dict[str, float]:
        """Each row's credit under a rule."""
        runs = self.runs[stage]
        found = item_credits(runs, k, rule)
        singles = [group for group in runs.groups if group.n == 1]
        return {**found, **single_credits(singles, k, self.singles, rule)}

    def rated(self, stage: str) -> bool:
        """Whether a meta RM has rated its samples."""
        return any(np.isfinite(group.meta).any() for group in self.runs[stage].groups)

    def position(self, stage: str, pool: str = "") -> dict[str, Any] | None:
        """What the order of two responses does, in a pool or in all; None where no row has two."""
        pairs = {key for key, row in self.rows.items() if len(row["responses"]) == 2 and pool in ("", row["pool"])}
        return position_bias(only(self.runs[stage], pairs))["n"]["2"] if pairs else None

    def parts(self) -> dict[str, list[str]]:
        """Name -> items: all, each pool, the contrast pool's strengths and defects, sources, near lengths."""
        found: dict[str, list[str]] = {"all": sorted(self.rows)}
        for key in found["all"]:
            given = self.rows[key]
            names = [given["pool"], f"{given['pool']}: {given.get('strength') or given['source']}"]
            if given.get("strength"):
                names.append(f"defect: {given['subset'].replace('_', ' ')}")
            if self._near(key):
                names += ["near in length", f"{given['pool']}, near in length"]
            for name in names:
                found.setdefault(name, []).append(key)
        return dict(sorted(found.items(), key=lambda one: (one[0] != "all", one[0])))

    def _near(self, key: str) -> bool:
        lengths = [len(text.split()) for text in self.rows[key]["responses"]]
        return len(lengths) > 1 and (max(lengths) - min(lengths)) < NEAR * max(lengths)

    def chance(self) -> dict[str, float]:
        """Each row's credit by a judge that draws lots: which of n is best, or whether a single one is good."""
        return {key: 1 / max(2, len(row["labels"])) for key, row in self.rows.items()}

    def baseline(self, judge: Baseline) -> dict[str, float]:
        """Each row's credit by a judge that is no generative one; of single responses it says nothing."""
        asked = {key: row for key, row in self.rows.items() if len(row["labels"]) > 1}
        items = [Item(key, Request(row["conversation"], row["responses"]), row["pool"]) for key, row in asked.items()]
        answers = zip(asked.items(), judge(items), strict=True)
        return {key: credit(answer.scores, row["labels"].index(max(row["labels"]))) for (key, row), answer in answers}


def share(credits: Credits, items: Sequence[str]) -> dict[str, Any] | None:
    """A mean with its 95% interval over items."""
    values = np.array([[credits[item]] for item in items if item in credits])
    if not len(values):
        return None
    low, high = intervals(values, np.ones_like(values))
    return {"items": len(values), "value": float(values.mean()), "low": float(low[0]), "high": float(high[0])}


def gains_of(found: Measured, baselines: Mapping[str, Credits]) -> dict[str, tuple[Credits, Credits]]:
    """What is compared: name -> (before, after)."""
    once = {stage: found.credits(stage, 1) for stage in found.runs}
    pairs = {f"{b} - {a}, Voting@1": (once[a], once[b]) for a, b in pairwise(found.stages)}
    last = found.stages[-1]
    if GREEDY in once:
        pairs[f"{last}: Voting@1 - {GREEDY}"] = (once[GREEDY], once[last])
    for k in sorted({shown_k(found.k(last)), found.k(last)} - {1}):
        votes = gains_of_votes(found, last, k, once[last], baselines)
        pairs |= {f"{last}: {name}": both for name, both in votes.items()}
    return pairs


def gains_of_votes(
    found: Measured, stage: str, k: int, once: Credits, baselines: Mapping[str, Credits]
) -> dict[str, tuple[Credits, Credits]]:
    """What votes of k gain over one judgement, and guided ones over these, their controls and others."""
    vote = found.credits(stage, k)
    pairs = {f"Voting@{k} - Voting@1": (once, vote)}
    pairs |= {f"Voting@{k} - {name}": (credits, vote) for name, credits in baselines.items()}
    guided = {rule: found.credits(stage, k, rule) for rule in META_RULES if found.rated(stage)}
    for rule, credits in guided.items():
        pairs |= {f"{rule}@{k} - Voting@{k}": (vote, credits), f"{rule}@{k} - Voting@1": (once, credits)}
    if guided:
        beside = {**{f"{rule}@{k}": guided[rule] for rule in CONTROLS}, **baselines}
        pairs |= {f"{GUIDED}@{k} - {name}": (credits, guided[GUIDED]) for name, credits in beside.items()}
    return pairs


def figures(found: Measured, baselines: Mapping[str, Baseline]) -> dict[str, Any]:
    """Everything, as plain JSON."""
    parts = found.parts()
    others = {**{name: found.baseline(judge) for name, judge in baselines.items()}, CHANCE: found.chance()}
    stages = {stage: _stage(found, stage, parts) for stage in found.runs}
    gains = {
        name: {part: _gain(a, b, items) for part, items in parts.items()}
        for name, (a, b) in gains_of(found, others).items()
    }
    plain = {name: {part: share(credits, items) for part, items in parts.items()} for name, credits in others.items()}
    return {"rows": len(found.rows), "stages": stages, "gains": gains, "baselines": plain}


def _stage(found: Measured, stage: str, parts: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    runs, most = found.runs[stage], found.k(stage)
    tied = ties(runs)
    ok = np.concatenate([group.ok.ravel() for group in runs.groups])
    ks = [k for k in (1, 2, 4, 8, 16, 32) if k <= most]
    credits = {f"voting@{k}": found.credits(stage, k) for k in ks}
    credits |= {f"{GUIDED}@{k}": found.credits(stage, k, GUIDED) for k in ks if k > 1 and found.rated(stage)}
    votes = {part: {name: share(one, items) for name, one in credits.items()} for part, items in parts.items()}
    pools = sorted({row["pool"] for row in found.rows.values()})
    flips = {pool: (found.position(stage, pool) or {}).get("flip_rate") for pool in pools}
    return {
        "k": most,
        "temperature": found.temperatures[stage],
        "readable": float(ok.mean()),
        "unaided": found.unaided[stage],
        "parts": votes,
        "ties": {part: share(tied, items) for part, items in parts.items()},
        "position": found.position(stage),
        "flips": {pool: one for pool, one in flips.items() if one and one["rate"] is not None},
    }


def _gain(a: Credits, b: Credits, items: Sequence[str]) -> dict[str, Any] | None:
    both = [item for item in items if item in a and item in b]
    return paired(a, b, both) if both else None


def named_store(text: str) -> tuple[str, Path]:
    """`stage=folder`."""
    name, equals, folder = text.partition("=")
    if not equals or not Path(folder).exists():
        raise argparse.ArgumentTypeError(f"{text!r}: give STAGE=STORE with a store's folder")
    return name, Path(folder)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("stores", nargs="+", type=named_store, metavar="STAGE=STORE")
    parser.add_argument("--greedy", type=Path, metavar="STORE", help="of the last stage, --k 1 --temperature 0")
    parser.add_argument("--without", type=Path, metavar="ROWS", help="leave out the rows that stand in this file too")
    parser.add_argument("--scalar", metavar="MODEL", help="a scalar reward model beside them")
    parser.add_argument("--reading", metavar="MODEL", help="a judge's first reading alone, where it writes nothing")
    parser.add_argument("--out", type=Path, default=Path("runs/stages.json"))
    parser.add_argument("--report", type=Path, help="the last stage alone, for its card and the README")
    args = parser.parse_args()
    judges = {name: make(name) for name in HEURISTICS}
    judges |= {"scalar": make("scalar", model=args.scalar)} if args.scalar else {}
    if args.reading:
        judges["first reading"] = make("first-reading", pipe=partial(load, args.reading), settings={})
    seen = {item_of(row) for row in read_records(args.without)} if args.without else set()
    rows = [row for row in read_records(args.rows) if item_of(row) not in seen]
    said = figures(Measured(rows, dict(args.stores), args.greedy), judges)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    print(table(said, lambda part: ":" not in part))
    print(table(said, lambda part: ":" in part))
    if args.report:
        last = report(said)
        args.report.write_text(json.dumps(last, indent=2) + "\n", encoding="utf-8")
        print(summary(last))


if __name__ == "__main__":
    main()
