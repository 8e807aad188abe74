"""Does early stopping keep its promises, and what does it save? On judges of known truth, and on a real one's scores.

    PYTHONPATH=. python tests/benchmarks/stopping_simulation.py --runs 2000 --out runs/stopping.json

`certain`: judges given as finite distributions of scores by slot, so that the vote over infinitely many samples is
known exactly; an error is a stop on another best than that one (with a tie, on any). `calibrated`: stored runs, each
item under thresholds fitted on other items. Real scores are in `tests/data/judge_scores.jsonl.gz`, without texts; where
they hold fewer than k_max samples an item, a judge fitted to them draws as many as are wanted (`Fitted`), and the
report says so.

Prints a table, and JSON with counts and 95% Wilson intervals. Exit status 1 where an error rate is above its delta by
more than chance explains (three standard errors).
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from modeling_grm.bootstrap import wilson
from modeling_grm.calibration import Run, cross_fitted_stopping
from modeling_grm.stopping_grm import Sample, Stopping, evidence, leader_of, required, settled, totals_of

SCORES = Path(__file__).resolve().parent.parent / "data" / "judge_scores.jsonl.gz"
DELTAS = (0.01, 0.05, 0.1)
K_MAX = (32, 64)
K_STORED = 8

Law = Sequence[tuple[float, Sample]]
"""A finite distribution of samples: (probability, scores or None)."""


@dataclass(frozen=True)
class Judge:
    """A judge of one item: one law for each of the n orders that a block holds."""

    name: str
    laws: Sequence[Law]

    @property
    def n(self) -> int:
        return len(self.laws)

    def truth(self) -> int | None:
        """Best of the vote over infinitely many samples, from the laws themselves."""
        totals = [sum(p * s[at] for law in self.laws for p, s in law if s is not None) for at in range(self.n)]
        return leader_of([round(total, 9) for total in totals])

    def run(self, k: int, random: Random) -> list[Sample]:
        """k samples in whole blocks, each block's orders in a random sequence."""
        samples: list[Sample] = []
        while len(samples) < k:
            for law in random.sample(list(self.laws), self.n):
                samples.append(random.choices([s for _, s in law], [p for p, _ in law])[0])
        return samples[:k]


def _both(law: Law) -> list[Law]:
    return [law, law]


def _two(p: float, often: Sample, rarely: Sample) -> Law:
    return [(p, often), (1 - p, rarely)]


def one_up(winner: int) -> Sample:
    """One of four has 10, the others 1."""
    return tuple(10 if at == winner else 1 for at in range(4))


EVEN = [(1 / 100, (a, b)) for a in range(1, 11) for b in range(1, 11)]

JUDGES = [
    Judge("pair: even noise, exact tie", _both(EVEN)),
    Judge("pair: coin 10-1 / 1-10, exact tie", _both(_two(0.5, (10, 1), (1, 10)))),
    Judge("pair: coin, 51 to 49", _both(_two(0.51, (10, 1), (1, 10)))),
    Judge("pair: coin, 60 to 40", _both(_two(0.6, (10, 1), (1, 10)))),
    Judge("pair: one point apart, noisy", _both([(1 / 4, s) for s in ((6, 5), (5, 6), (9, 7), (7, 5))])),
    Judge("pair: often +1, rarely -9, exact tie", _both(_two(0.9, (6, 5), (1, 10)))),
    Judge("pair: often +1, rarely -9, just behind", _both(_two(0.89, (6, 5), (1, 10)))),
    Judge("pair: often +4, rarely -9, exact tie", _both(_two(9 / 13, (8, 4), (1, 10)))),
    Judge("pair: very rarely -9 after +3, exact tie", _both(_two(0.75, (8, 5), (1, 10)))),
    Judge("pair: slot decides, exact tie", [[(1, (9, 4))], [(1, (4, 9))]]),
    Judge("pair: slot decides most, exact tie", [_two(0.9, (10, 1), (1, 10)), _two(0.1, (10, 1), (1, 10))]),
    Judge("pair: fails more where it likes A", [_two(0.3, (10, 1), None), _two(0.8, (5, 9), None)]),
    Judge("pair: always equal", _both([(1, (7, 7))])),
    Judge("pair: always 1 apart", _both([(1, (7, 6))])),
    Judge("pair: always 4 apart", _both([(1, (4, 8))])),
    Judge("pair: always 8 apart", _both([(1, (9, 1))])),
    Judge("four: coin between two, tie at the top", [_two(0.5, (10, 1, 1, 1), (1, 10, 1, 1))] * 4),
    Judge("four: one of four at random, exact tie", [[(1 / 4, one_up(at)) for at in range(4)]] * 4),
    Judge("four: often +1, rarely -9, just behind", [_two(0.89, (6, 5, 5, 5), (1, 10, 10, 10))] * 4),
    Judge("four: near tie at the top", [_two(0.52, (10, 5, 1, 1), (5, 10, 1, 1))] * 4),
    Judge("four: first slot decides, exact tie", [[(1, one_up(at))] for at in range(4)]),
    Judge("four: always 6 apart", [[(1, (3, 9, 1, 2))]] * 4),
]  # fmt: skip


@dataclass
class Stops:
    """One delta's stops: how often, how often on a wrong best, and samples used under each k_max."""

    delta: float
    items: int
    stops: int = 0
    errors: int = 0
    samples: dict[int, int] | None = None

    def report(self) -> dict[str, Any]:
        rate = self.errors / self.items
        shares = {f"share_of_{k}": round(used / k / self.items, 4) for k, used in (self.samples or {}).items()}
        interval = [round(end, 4) for end in wilson(rate, self.items)]
        return {"delta": self.delta, "items": self.items, "stops": self.stops, "errors": self.errors,
                "error_rate": rate, "ci95": interval, **shares}  # fmt: skip

    @property
    def broken(self) -> bool:
        allowed = self.items * self.delta
        return self.errors > allowed + 3 * math.sqrt(allowed * (1 - self.delta))


def first_stops(run: Sequence[Sample], n: int, deltas: Sequence[float]) -> dict[float, tuple[int, int | None]]:
    """delta -> (samples, leader) where `certain` would first stop, asked after each block."""
    found: dict[float, tuple[int, int | None]] = {}
    for drawn in range(n, len(run) + 1, n):
        e_value = evidence(run[:drawn], n)
        for delta in deltas:
            if delta not in found and e_value >= required(n, delta):
                found[delta] = (drawn, leader_of(totals_of(run[:drawn], n)))
        if len(found) == len(deltas):
            break
    return found


def first_settled(run: Sequence[Sample], n: int, k_max: int) -> int:
    """Samples after which the exact stop ends a run of k_max."""
    for drawn in range(n, k_max, n):
        ok = sum(sample is not None for sample in run[:drawn])
        if settled(totals_of(run[:drawn], n), k_max - drawn, valid=ok, drawn=drawn):
            return drawn
    return k_max


def simulate(judges: Sequence[Judge], runs: int, seed: int = 0, k: int = K_MAX[-1]) -> list[Stops]:
    """`certain` on fresh runs of these judges, `runs` of each."""
    tally = [
        Stops(delta, runs * len(judges), samples=dict.fromkeys([at for at in K_MAX if at <= k], 0)) for delta in DELTAS
    ]
    random = Random(seed)
    for judge in judges:
        truth = judge.truth()
        for _ in range(runs):
            _count(judge.run(k, random), judge.n, truth, tally)
    return tally


def _count(run: Sequence[Sample], n: int, truth: int | None, tally: Sequence[Stops]) -> None:
    found = first_stops(run, n, [stops.delta for stops in tally])
    for stops in tally:
        drawn, leader = found.get(stops.delta, (len(run) + 1, None))
        stops.stops += stops.delta in found
        stops.errors += stops.delta in found and leader != truth
        for k_max in stops.samples or {}:
            stops.samples[k_max] += min(drawn, first_settled(run, n, k_max))  # type: ignore[index]


# --------------------------------------------------------------------------- a real judge's scores


@dataclass(frozen=True)
class Item:
    """A real item's stored samples: the response shown first, and the scores, of each; and the labelled best."""

    id: str
    best: int | None
    first: Sequence[int]
    samples: Sequence[Sample]

    @property
    def n(self) -> int:
        return next(len(sample) for sample in self.samples if sample is not None)


def _rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def read_items(path: Path = SCORES) -> list[Item]:
    """A real judge's scores, items with at least one OK sample."""
    rows = _rows(path)
    items = (Item(r["id"], r["best"], r["first"], [s and tuple(s) for s in r["scores"]]) for r in rows)
    return [item for item in items if any(item.samples)]


def concentration(groups: Iterable[Sequence[Sample]]) -> float:
    """alpha of a Dirichlet process that shows as many distinct samples in groups of this size (Ewens 1972)."""
    whole = [group for group in groups if len(group) > 1]
    distinct = sum(len(set(group)) for group in whole)
    low, high = 1e-6, 1e6
    for _ in range(100):
        middle = math.sqrt(low * high)
        expected = sum(middle / (middle + seen) for group in whole for seen in range(len(group)))
        low, high = (middle, high) if expected < distinct else (low, middle)
    return middle


class Fitted:
    """A judge of real items, fitted to their few stored samples: each item's law is a draw from a Dirichlet process.

    Its base are the samples of the items with the nearest mean scores; its concentration makes as many distinct samples
    as the stored ones have. Orders are kept apart by the response shown first, so that slot effects stay. A law drawn
    so has weights of its own (Rubin's Bayesian bootstrap): 32 samples are more than copies of 8.
    """

    def __init__(self, items: Sequence[Item], near: int = 10) -> None:
        self.items, self.near = items, near
        self.means = [self._mean(item) for item in items]
        self.alpha = concentration(self._shown(item, first) for item in items for first in range(item.n))

    @staticmethod
    def _mean(item: Item) -> list[float]:
        voted = [sample for sample in item.samples if sample is not None]
        return [sum(column) / len(voted) for column in zip(*voted, strict=True)]

    @staticmethod
    def _shown(item: Item, first: int) -> list[Sample]:
        return [sample for seen, sample in zip(item.first, item.samples, strict=True) if seen == first]

    def judge(self, at: int, random: Random) -> Judge:
        """A law for one item."""
        item = self.items[at]
        others = [o for o in range(len(self.items)) if o != at and self.items[o].n == item.n]
        near = sorted(others, key=lambda o: (math.dist(self.means[o], self.means[at]), random.random()))[: self.near]
        return Judge(item.id, [self._law(item, first, near, random) for first in range(item.n)])

    def _law(self, item: Item, first: int, near: Sequence[int], random: Random) -> Law:
        own = self._shown(item, first)
        base = [sample for other in near for sample in self._shown(self.items[other], first)]
        weights = [random.gammavariate(1, 1) for _ in own]
        weights += [random.gammavariate(self.alpha / len(base), 1) for _ in base]
        return [(weight / sum(weights), sample) for weight, sample in zip(weights, own + base, strict=True)]


def real_runs(items: Sequence[Item], k: int, seed: int = 0) -> tuple[list[Run], list[int | None], str]:
    """(runs of k samples, best of the infinite vote where it is known, what they are)."""
    stored = min(len(item.samples) for item in items)
    if stored >= k:
        return (
            [Run(i.n, i.samples[:k]) for i in items],
            [None] * len(items),
            f"{len(items)} items, {k} stored samples each",
        )
    random, fitted = Random(seed), Fitted(items)
    judges = [fitted.judge(at, random) for at in range(len(items))]
    runs = [Run(judge.n, judge.run(k, random)) for judge in judges]
    return (
        runs,
        [judge.truth() for judge in judges],
        f"{len(items)} simulated items, fitted to {stored} real samples each",
    )


def calibrated_report(runs: Sequence[Run], k_max: int, repeats: int) -> list[dict[str, Any]]:
    """`calibrated` on items that its thresholds were not fitted on: `repeats` ways to hold out each tenth."""
    rows = []
    for delta in DELTAS:
        rule = Stopping(k_max=k_max, delta=delta)
        found = [cross_fitted_stopping(runs, rule, seed=seed) for seed in range(repeats)]
        mean = {name: sum(one[name] for one in found) / repeats for name in ("flips", "flip_rate", "share")}
        interval = wilson(mean["flip_rate"], len(runs))
        rows.append({"delta": delta, "items": len(runs), **mean, "ci95": interval, "reasons": found[0]["reasons"]})
    return rows


def certain_report(runs: Sequence[Run], truths: Sequence[int | None], known: bool, k: int) -> list[dict[str, Any]]:
    """`certain` on real or fitted runs: savings, and errors where the truth is known."""
    tally = [Stops(delta, len(runs), samples={k: 0}) for delta in DELTAS]
    for run, truth in zip(runs, truths, strict=True):
        _count(run.samples, run.n, truth, tally)
    rows = [stops.report() for stops in tally]
    return rows if known else [{**row, "errors": None, "error_rate": None, "ci95": None} for row in rows]


def _line(name: str, row: dict[str, Any]) -> str:
    shares = "  ".join(f"{value:6.1%}" for key, value in row.items() if key.startswith("share"))
    errors = row.get("errors", row.get("flips"))
    rate = row.get("error_rate", row.get("flip_rate"))
    shown = "        unknown" if rate is None else f"{errors:6.1f} {rate:8.4f}"
    return f"{name:44} {row['delta']:5.2f} {row['items']:7} {shown}  {shares}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500, help="runs of each known judge")
    parser.add_argument("--repeats", type=int, default=5, help="ways to hold out the real items")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the JSON here too")
    asked = parser.parse_args()
    started = time.perf_counter()
    print(f"{'certain: judge':44} delta   items  errors     rate  samples of {K_MAX[0]}, {K_MAX[1]}")
    known = {judge.name: simulate([judge], asked.runs, asked.seed) for judge in JUDGES}
    for name, tally in known.items():
        print("\n".join(_line(name, stops.report()) for stops in tally))
    report: dict[str, Any] = {"certain": {name: [s.report() for s in tally] for name, tally in known.items()}}
    items = read_items()
    for k in (K_STORED, *K_MAX):
        runs, truths, what = real_runs(items, k, asked.seed)
        report[f"real, k_max = {k}"] = {
            "items": what,
            "certain": certain_report(runs, truths, "simulated" in what, k),
            "calibrated": calibrated_report(runs, k, asked.repeats),
        }
        print(f"\nk_max = {k}: {what}")
        for rule in ("certain", "calibrated"):
            print("\n".join(_line(rule, row) for row in report[f"real, k_max = {k}"][rule]))
    report["seconds"] = round(time.perf_counter() - started, 1)
    print(text := json.dumps(report))
    if asked.out:
        asked.out.write_text(text + "\n", encoding="utf-8")
    return int(any(stops.broken for tally in known.values() for stops in tally))


if __name__ == "__main__":
    sys.exit(main())
