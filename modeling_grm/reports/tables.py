"""A report as Markdown: what `report.md` says, line by line from the figures.

    markdown(report) -> "# org/a-grm: rewardbench (partial)\\n..."

Knows the shape of a report, and nothing about how a figure came about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Figures = Mapping[str, Any]
LARGE = 100
OURS = {
    "strict": "strict accuracy (a tie or no answer is wrong)",
    "answered": "accuracy on answered",
    "coverage": "coverage",
    "tie_rate": "ties",
}


def number(value: Any) -> str:
    """Three digits behind the point, none of a large number; a dash for what is not there."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= LARGE else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def interval(figure: Figures) -> str:
    """`0.774 - 0.853`."""
    ends = (figure.get("low"), figure.get("high"))
    return "-" if None in ends else " - ".join(map(number, ends))


def cell(text: Any) -> str:
    """Text that stays in its cell, whatever it holds."""
    return " ".join(str(text).split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)]]
    lines += [[cell(row[0]), *(cell(number(value)) for value in row[1:])] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def title(report: Figures) -> str:
    """Who was judged on what, and whether that was all of it."""
    names = ", ".join(report["benchmarks"])
    return f"{report['judge']['model']}: {names}" + (" (partial)" if report["partial"] else "")


def headline_rows(report: Figures) -> list[list[Any]]:
    """One row a benchmark: name, metric, rows, value, interval, strict, answered, coverage."""
    rows = []
    for name, part in report["benchmarks"].items():
        shown = f"{name} (partial)" if part["partial"] else name
        ours = [part["ours"].get(key, {}) for key in ("strict", "answered", "coverage")]
        values = [figure.get("value") if isinstance(figure, Mapping) else figure for figure in ours]
        headline = part["headline"]
        rows.append([shown, headline["name"], part["rows"]["items"], headline["value"], interval(headline), *values])
    return rows


HEADINGS = ("benchmark", "metric", "rows", "value", "95% interval", "strict", "answered", "coverage")


def markdown(report: Figures) -> str:
    """The whole report."""
    parts = [f"# {cell(title(report))}", table(HEADINGS, headline_rows(report)), _judge(report["judge"])]
    parts += [_benchmark(name, part) for name, part in report["benchmarks"].items()]
    parts.append(f"Made by `grm bench` of modeling-grm {report['modeling_grm']}; every figure is in `report.json`.")
    return "\n\n".join(parts) + "\n"


def _judge(judge: Figures) -> str:
    told = {name: value for name, value in judge.items() if name not in ("settings", "engine") and value is not None}
    told |= {name: value for name, value in (judge.get("settings") or {}).items() if value is not None}
    told |= {"engine": ", ".join(judge["engine"])} if judge.get("engine") else {}
    return "## Judge\n\n" + table(("setting", "value"), ([name, str(value)] for name, value in told.items()))


def _benchmark(name: str, part: Figures) -> str:
    rows = part["rows"]
    partial = f" (partial: {rows['items']:,} items of {rows['official']:,} official rows)" if part["partial"] else ""
    blocks = [f"## {name}{partial}", _facts(part), _official(part), _ours(part), _heuristics(part)]
    blocks += [build(part) for build in (_curve, _by_k, _bias, _tokens, _outcomes) if part.get(_NEEDS[build])]
    return "\n\n".join(block for block in blocks if block)


def _facts(part: Figures) -> str:
    facts = [
        f"Rows: {cell(part['where'])}. Metric: {cell(part['metric'])}. Licence of the rows: {cell(part['licence'])}."
    ]
    counted = {"left out": part["rows"]["dropped"], "refused by the judge": part["refused"]}
    facts += [f"{count:,} {what}: {cell(why)}." for what, found in counted.items() for why, count in found.items()]
    facts += [f"{part['empty_responses']:,} responses are empty; they are judged."] * bool(part["empty_responses"])
    return "\n".join([" ".join(facts), *["", *(f"- {cell(note)}" for note in part.get("notes", []))]])


def _official(part: Figures) -> str:
    headline = part["headline"]
    rows = [[headline["name"], part["rows"]["items"], headline["value"], interval(headline)]]
    if isinstance(headline.get("strict"), Mapping):
        rows.append(["a tie or no answer is wrong", part["rows"]["items"], headline["strict"]["value"],
                     interval(headline["strict"])])  # fmt: skip
    for kind in ("sections", "subsets"):
        for name, figure in part.get(kind, {}).items():
            if isinstance(figure, Mapping) and "value" in figure:
                rows.append([f"{kind[:-1]}: {name}", figure.get("rows"), figure["value"], interval(figure)])
    return table(("official metric", "rows", "value", "95% interval"), rows)


def _ours(part: Figures) -> str:
    rows = [(said, part["ours"].get(name)) for name, said in OURS.items()]
    known = [(said, figure) for said, figure in rows if isinstance(figure, Mapping)]
    return table(("counted our way", "value", "95% interval"), ([s, f["value"], interval(f)] for s, f in known))


def _heuristics(part: Figures) -> str:
    rows = ([f"the {name} response", value] for name, value in part["heuristics"].items())
    return table(("without a judge", "official metric"), rows)


def _curve(part: Figures) -> str:
    rows = (
        [point["curve"], point["k"], point["accuracy"], interval(point), point["coverage"], point["tie_rate"]]
        for point in part["curve"]
    )
    return "Accuracy of other votes (a tie of m counts 1/m, no answer is wrong):\n\n" + table(
        ("vote", "k", "accuracy", "95% interval", "coverage", "ties"), rows
    )


def _by_k(part: Figures) -> str:
    rows = ([str(point["k"]), point["value"]] for point in part["headline_by_k"])
    return table(("first k samples", "official metric"), rows)


def _bias(part: Figures) -> str:
    rows = []
    for n, found in part["position_bias"]["n"].items():
        for effect in found["slot_effect"]:
            rows.append([f"{n} responses, slot {effect['slot']}: points", effect["effect"], interval(effect)])
        rows.append([f"{n} responses: the winner flips", found["flip_rate"]["rate"], interval(found["flip_rate"])])
    return table(("order of the responses", "value", "95% interval"), rows)


def _tokens(part: Figures) -> str:
    rows = ([name, found["mean"], found["p50"], found["p90"]] for name, found in part["tokens"].items())
    return table(("tokens an item", "mean", "median", "90%"), rows)


def _outcomes(part: Figures) -> str:
    return table(("judgements", "count"), part["outcomes"].items())


_NEEDS = {
    _curve: "curve",
    _by_k: "headline_by_k",
    _bias: "position_bias",
    _tokens: "tokens",
    _outcomes: "outcomes",
}
