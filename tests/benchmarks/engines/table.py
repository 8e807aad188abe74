"""The data file as Markdown tables: speeds, ratios, what was promised, and on what it was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .datafile import DataFile
from .points import KINDS, NAIVE_SAMPLES, Grid, Point, measured_at

BASELINES = ("num_return_sequences", "naive")
RATIOS = (
    ("ours", "num_return_sequences"),
    ("ours-fp32", "num_return_sequences"),
    ("ours", "naive"),
    ("ours-fp32", "naive"),
    ("ours", "vllm-raw"),
    ("vllm-ours", "vllm-raw"),
    ("openai", "vllm-raw"),
)
PROMISES = (
    ("ours", "num_return_sequences", "main", 3.0),
    ("ours", "naive", "main", 6.0),
    ("ours", "vllm-raw", "main", 0.6),
    ("vllm-ours", "vllm-raw", "main", 0.97),
    ("openai", "vllm-raw", "concurrent", 0.90),
)
OWN_SHARE = 0.01


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines] + [""]


def _speed(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


def _ratio(data: DataFile, engine: str, other: str, point: Point) -> float | None:
    return data.ratio(engine, other, measured_at(engine, point), measured_at(other, point))


def _named(data: DataFile) -> dict[str, str]:
    """The measured engines, each with its dtype."""
    dtypes = {run["engine"]: run["dtype"] for run in data.data["runs"]}
    return {name: f"{name} ({dtypes[name]})" for name in KINDS if name in dtypes}


def _speeds(data: DataFile, grid: Grid) -> list[str]:
    named = _named(data)
    rows = [
        [str(point), *(_speed(data.speed(name, measured_at(name, point))) for name in named)] for point in grid.points
    ]
    return ["Tokens a second, prefill included:", "", *_table(["point", *named.values()], rows)]


def _ratios(data: DataFile, grid: Grid) -> list[str]:
    rows = [[str(point), *(_times(_ratio(data, *pair, point)) for pair in RATIOS)] for point in grid.points]
    head = ["point", *(f"{engine} / {other}" for engine, other in RATIOS)]
    return ["Ratios:", "", *_table(head, rows)]


def _fastest(data: DataFile, baseline: str, point: Point) -> str:
    """The dtype in which a baseline is faster there."""
    pair = [name for name in (baseline, f"{baseline}-bf16") if data.speed(name, measured_at(name, point))]
    return max(pair, key=lambda name: data.speed(name, measured_at(name, point)) or 0.0, default=baseline)


def _strict(data: DataFile, grid: Grid) -> list[str]:
    """At the main point, where baselines are measured in both dtypes: against the faster one."""
    rows = []
    for baseline in BASELINES:
        if not data.speeds(f"{baseline}-bf16", measured_at(f"{baseline}-bf16", grid.main)):
            continue
        best = _fastest(data, baseline, grid.main)
        ours = [_times(_ratio(data, name, best, grid.main)) for name in ("ours", "ours-fp32")]
        rows.append([baseline, f"`{best}`", *ours])
    head = ["baseline", "the faster dtype's", "ours", "ours-fp32"]
    if not rows:
        return []
    return [f"Against the faster dtype of each baseline, at {grid.main}:", "", *_table(head, rows)]


def _verdict(value: float | None, at_least: float) -> str:
    return "not measured" if value is None else "yes" if value >= at_least else "**no**"


def _promises(data: DataFile, grid: Grid) -> list[str]:
    if not grid.has_goals:
        return []
    rows = []
    for engine, other, where, least in PROMISES:
        point = getattr(grid, where)
        found = _ratio(data, engine, other, point)
        rows.append([f"{engine} / {other}", str(point), f">= {least}x", _times(found), _verdict(found, least)])
    return ["Goals:", "", *_table(["ratio", "point", "goal", "measured", "reached"], rows)]


def _counted(data: DataFile, grid: Grid) -> list[str]:
    found = data.data["measures"]
    if not found:
        return []
    rows = [
        [
            f"distinct prefills, k = {one['samples']}, n = {n}",
            str(one["ours"]),
            f"random shuffles: {one['random_shuffles']}",
        ]
        for n, one in found["prefills"].items()
    ]
    memory = found["memory"]
    copies = memory["num_return_sequences"] / memory["ours"]
    rows.append(
        [
            f"keys and values of a {memory['prompt_tokens']}-token prompt, k = {memory['samples']} ({memory['dtype']})",
            _megabytes(memory["ours"]),
            f"`num_return_sequences`: {_megabytes(memory['num_return_sequences'])}, {copies:.1f} times as much",
        ]
    )
    return ["Counted:", "", *_table(["what", "ours", "usual"], [*rows, *_own(data, grid)])]


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _own(data: DataFile, grid: Grid) -> list[list[str]]:
    own: dict[str, Any] = data.data["measures"]["own"]
    what = f"the suite's own time an item (k = {own['samples']}, {own['prompt_tokens']}-token prompts of 2 responses)"
    shares = [
        f"{own['seconds'] * speed / grid.main.tokens:.2%} of the run with `{engine}`"
        for engine in ("ours", "vllm-ours")
        if (speed := data.speed(engine, grid.main))
    ]
    return [[what, f"{1000 * own['seconds']:.1f} ms", f"{'; '.join(shares) or '-'} (goal: < {OWN_SHARE:.0%})"]]


def _where(data: DataFile) -> list[str]:
    machine = data.data["machine"] or {}
    versions = ", ".join(f"{name} {version}" for name, version in (data.data["versions"] or {}).items() if version)
    loads = [load for run in data.data["runs"] for load in run["load"]]
    busiest = f"; load average before a measurement: {max(loads)} at most" if loads else ""
    flags = ", ".join(machine.get("flags", ()))
    cpu = f"{machine.get('cpu')}, {machine.get('cores')} cores ({flags}), OMP_NUM_THREADS {machine.get('threads')}"
    naive = f"The naive loop's speed does not depend on k and n: it is measured with {NAIVE_SAMPLES} samples a shape."
    return [f"{cpu}; {versions}{busiest}.", naive, ""]


def markdown(data: DataFile, grid: Grid) -> str:
    """Everything that the file says about the grid's points."""
    parts = (_where(data), _promises(data, grid), _speeds(data, grid), _ratios(data, grid), _strict(data, grid))
    return "\n".join([*(line for part in parts for line in part), *_counted(data, grid)])
