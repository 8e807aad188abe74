"""`grm revote` and `grm calibrate`: what stored judgements say, without a model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from .confidence_grm import raw_confidence
from .configuration_grm import GRMConfig
from .console import ERR, print_pairs, print_rows
from .options import Json, Quorum, Settings
from .rows import BadRow, read_rows
from .stopping_grm import Stopping, best_of
from .types_grm import InvalidInput
from .voting_grm import item_hash

POINT = {
    "curve": "vote",
    "k": "k",
    "accuracy": "accuracy",
    "low": "95% from",
    "high": "to",
    "answered": "answered",
    "coverage": "coverage",
    "tie_rate": "ties",
    "tokens": "tokens",
}
GAIN = {"gain": "gain", "gain_low": "95% from", "gain_high": "to"}
Folder = Annotated[
    str, typer.Argument(help="A folder that `grm score --store` has written, or hf://datasets/org/name of one.")
]


def whole_numbers(name: str, text: str) -> list[int]:
    """`1,2,4,8` as numbers.

    Raises:
        InvalidInput: one of them is none, or below 1; `name` is the setting that the message names.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise InvalidInput(f"{name}: {text!r} is not usable; give whole numbers such as 1,2,4,8")
    return [int(part) for part in parts]


def stored_runs(store: str | Path, settings: str | None, meta_model: str | None = None) -> Any:
    """The runs of a store made with one set of settings, with the ratings of one meta RM.

    Raises:
        InvalidInput: no store, several sets of settings and none chosen, or settings or a meta RM that it has not.
    """
    from .rating import chosen_rater
    from .runs import COLUMNS, load_runs
    from .trajectories import folder_of, read, settings_in

    folder = folder_of(store)
    there = settings_in(folder)
    if settings is None and len(there) > 1:
        raise InvalidInput(
            f"settings: {store} was made with {len(there)} sets of settings ({', '.join(there)}); "
            "choose one with --settings"
        )
    if settings is not None and settings not in there:
        raise InvalidInput(f"settings: {settings!r} is not in {store}; it has {', '.join(there)}")
    batches = read(folder, [*COLUMNS, "settings"], meta_model=chosen_rater(folder, meta_model))
    return load_runs(_only(batches, settings) if settings else batches)


def _only(batches: Iterator[Any], settings: str) -> Iterator[Any]:
    from pyarrow import compute

    for batch in batches:
        yield batch.filter(compute.equal(batch.column("settings"), settings))


def revote(
    folder: Folder,
    k: Annotated[str, typer.Option(help="Sizes of the vote.")] = "1,2,4,8",
    rule: Annotated[str, typer.Option(help="Voting rules; `meta_topk,random_topk,length_topk` take --k-meta.")] = "sum",
    k_meta: Annotated[
        str | None, typer.Option(help="Voters that a ranking rule lets vote; k // 2 if left out.")
    ] = None,
    ties: Annotated[
        str,
        typer.Option(help="A tie with the labelled best: half (1/m, a random choice in expectation), wrong, random."),
    ] = "half",
    against: Annotated[
        str | None, typer.Option(help="One of the rules: also what each point gains over it, with a paired interval.")
    ] = None,
    quorum: Quorum = 0.5,
    seed: Annotated[int, typer.Option(help="Of subsets and bootstrap.")] = 0,
    settings: Settings = None,
    meta_model: Annotated[
        str | None, typer.Option(help="Whose ratings, where several meta RMs have rated the store.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves: a .png, .svg or .pdf file.")] = None,
    bias: Annotated[bool, typer.Option("--bias", help="Also report what the order of the responses does.")] = False,
    as_json: Json = False,
) -> None:
    """Accuracy against k of any voting rule, from stored judgements.

    \b
    grm revote runs/demo --k 1,2,4,8 --rule sum,majority --plot curve.png
    """
    from .bias import position_bias
    from .revoting import revote as curves

    runs = stored_runs(folder, settings, meta_model)
    k_metas = whole_numbers("k_meta", k_meta) if k_meta else [None]
    rules = [name.strip() for name in rule.split(",")]
    sizes = whole_numbers("k", k)
    points = curves(runs, sizes, rules, k_metas, ties=ties, quorum=quorum, seed=seed, against=against)
    report: dict[str, Any] = {"store": str(folder), "points": points, "excluded": runs.excluded}
    if bias:
        report["position_bias"] = position_bias(runs, seed=seed)
    if plot:
        _plot(points, plot)
    if as_json:
        typer.echo(json.dumps(report))
        return
    print_rows(f"{points[0]['items']} items of {folder}; ties: {ties}", POINT, points)
    if against:
        print_rows(f"gain over {against}, on the same items", {"curve": "vote", "k": "k"} | GAIN, points)
    left = {reason: count for reason, count in runs.excluded.items() if count}
    if left:
        ERR.print("not counted: " + ", ".join(f"{count} with {reason}" for reason, count in left.items()), markup=False)
    for n, found in report.get("position_bias", {"n": {}})["n"].items():
        print_pairs(f"order of {n} responses ({found['items']} items)", _bias_pairs(found))


def _plot(points: Sequence[dict[str, Any]], path: Path) -> None:
    from .plots import curve

    ERR.print(f"drawn: {curve(points, path)}", markup=False)


def _interval(found: dict[str, Any], name: str) -> str:
    values = (found[name], found["low"], found["high"])
    return "-" if None in values else "{:+.3f} ({:+.3f} to {:+.3f})".format(*values)


def _bias_pairs(found: dict[str, Any]) -> dict[str, str]:
    effects = {f"slot {at}: points": _interval(one, "effect") for at, one in enumerate(found["slot_effect"], 1)}
    wins = {f"slot {at}: wins": _interval(one, "rate") for at, one in enumerate(found["slot_wins"], 1)}
    excess = _interval(found["sample_flips"]["excess"], "rate")
    flips = {"winner flips with the order": _interval(found["flip_rate"], "rate"), "beyond sampling noise": excess}
    return effects | wins | flips


def calibrate(
    folder: Folder,
    labels: Annotated[
        Path | None, typer.Argument(help="Rows with `best` for the stored items; the store's own labels if left out.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="config.json of the checkpoint: what is learned is written into its `grm`.")
    ] = None,
    delta: Annotated[float, typer.Option(help="Accepted share of early votes that differ from the whole one.")] = 0.05,
    quorum: Quorum = 0.5,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Learn from stored judgements when `--k auto` may stop, and how probable it is that the best is right.

    \b
    grm calibrate runs/demo --config my-judge/config.json

    Stopping needs no labels; k_max is the number of judgements stored for each item. Every figure reported is for items
    that were not learned from.
    """
    from .calibration import confidence_report, cross_fitted_stopping, fit_map, fit_thresholds

    target = _config_at(config)
    runs = stored_runs(folder, settings)
    if len(runs.counts) > 1:
        raise InvalidInput(f"stored: items have {runs.counts} judgements; store the same number for each")
    k_max = next(iter(runs.counts))
    items = {name: run for group in runs.groups for name, run in _runs_of(group)}
    best = {name: at for group in runs.labelled for name, at in zip(group.items, group.best.tolist(), strict=True)}
    best |= _labels(labels, folder) if labels else {}
    thresholds = fit_thresholds(list(items.values()), k_max=k_max, delta=delta, quorum=quorum)
    rule = Stopping("calibrated", k_max, delta, quorum=quorum, thresholds=thresholds)
    learned: dict[str, Any] = {"stopping": thresholds.to_dict(), "k_max": k_max, "delta": delta, "confidence": None}
    report: dict[str, Any] = {"stopping": cross_fitted_stopping(list(items.values()), rule)}
    raw, right = _raw(items, best, quorum)
    if right:
        report["confidence"] = confidence_report(raw, right)
        sure = [at for at, one in enumerate(raw) if one is not None]
        learned["confidence"] = fit_map([raw[at] or 0.0 for at in sure], [right[at] for at in sure])
    if config:
        _write(config, target, learned)
    _show(report, learned, as_json)


def _runs_of(group: Any) -> Iterator[tuple[str, Any]]:
    from .calibration import Run

    for at, name in enumerate(group.items):
        samples = [tuple(s) if ok else None for s, ok in zip(group.scores[at].tolist(), group.ok[at], strict=True)]
        yield name, Run(group.n, samples)


def _raw(items: dict[str, Any], best: dict[str, int], quorum: float) -> tuple[list[float | None], list[float]]:
    """Raw confidence and correctness of each labelled item of more than one response."""
    raw: list[float | None] = []
    right: list[float] = []
    for name, label in best.items():
        run = items[name]
        won = best_of(run.samples, run.n, quorum)
        votes = [sample for sample in run.samples if sample is not None]
        raw.append(None if won is None else raw_confidence(votes, won))
        right.append(float(won == label))
    return raw, right


def _labels(path: Path, store: str | Path) -> dict[str, int]:
    """item -> best in the store's own order of the responses.

    Raises:
        InvalidInput: a row that cannot be read or has no best, or an item that is not in the store.
    """
    from .trajectories import folder_of, read
    from .trajectories.samples import arrangement, response_hashes

    there = {
        row["item"]: row["response_hashes"]
        for batch in read(folder_of(store), ["item", "response_hashes"])
        for row in batch.to_pylist()
    }
    best = {}
    for row in read_rows(path):
        if isinstance(row, BadRow):
            raise InvalidInput(f"labels: {row.place}: {row.error}")
        if isinstance(row.best, bool) or not isinstance(row.best, int) or not 0 <= row.best < row.request.n:
            raise InvalidInput(f"labels: {row.place}: best {row.best!r} is not the index of a response")
        item = item_hash(row.request)
        if item not in there:
            raise InvalidInput(f"labels: {row.place} ({row.id}) is not in {store}; score it there first, or drop it")
        best[item] = arrangement(response_hashes(row.request), there[item])[row.best]
    return best


def _config_at(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        GRMConfig.from_dict(stored.get("grm"))
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidInput(f"config: {path} cannot be read; give a checkpoint's config.json ({error})") from error
    return dict(stored)


def _write(path: Path, stored: dict[str, Any], learned: dict[str, Any]) -> None:
    stored["grm"] = GRMConfig.from_dict((stored.get("grm") or {}) | learned).to_dict()
    whole = path.with_name(path.name + ".new")
    whole.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
    whole.replace(path)
    ERR.print(f"written: {path}", markup=False)


CURVE = ("threshold", "coverage", "risk")


def _show(report: dict[str, Any], learned: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"grm": learned, "report": report}))
        return
    for name, found in report.items():
        shown = {key: value for key, value in found.items() if key not in CURVE}
        print_pairs(name, {key: _short(value) for key, value in shown.items()})


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.3f}"
    return " - ".join(_short(one) for one in value) if isinstance(value, (list, tuple)) else value
