"""The pictures of a benchmark's figures, one file each.

    draw(report["benchmarks"]["llmbar"], Path("report"))  -> [report/llmbar-accuracy.png, ...]

Draws plain JSON figures as they stand, in the manner of `plots`; knows nothing about how they came about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..plots import COLOURS, INK, curve, drawing, slots

Figures = Mapping[str, Any]
KIND = ".png"


def draw(part: Figures, folder: Path) -> list[Path]:
    """Every picture that the figures of a benchmark allow.

    Raises:
        ImportError: matplotlib is missing.
    """
    name = part["benchmark"]
    about = f"{name} (partial)" if part["partial"] else name
    drawn = []
    for kind, (needs, picture) in PICTURES.items():
        if needs(part):
            drawn.append(folder / f"{name}-{kind}{KIND}")
            picture(part, drawn[-1], about)
    return drawn


@contextmanager
def _axes(path: Path, title: str, width: float = 5.2, height: float = 3.8) -> Iterator[Any]:
    """Axes to draw on; saved behind the block."""
    with drawing(path, title, width, height) as figure:
        yield figure.subplots()


def _accuracy(part: Figures, path: Path, title: str) -> None:
    curve(part["curve"], path, title)


def _headline_by_k(part: Figures, path: Path, title: str) -> None:
    points = [point for point in part["headline_by_k"] if point["value"] is not None]
    with _axes(path, title) as axes:
        axes.plot([str(point["k"]) for point in points], [point["value"] for point in points], "o-", color=COLOURS[0])
        axes.set(xlabel="samples an item, k (the first ones)", ylabel=part["headline"]["name"])


def _subset_bars(part: Figures, path: Path, title: str) -> None:
    found = {name: figure for name, figure in part["subsets"].items() if figure.get("value") is not None}
    names = [f"{name} ({figure['rows']})" for name, figure in found.items()]
    values = [figure["value"] for figure in found.values()]
    ends = [_around(figure) for figure in found.values()]
    with _axes(path, title, width=7.2, height=1.6 + 0.26 * len(found)) as axes:
        axes.barh(names, values, color=COLOURS[0], height=0.65)
        axes.errorbar(values, names, xerr=list(zip(*ends, strict=True)), fmt="none", ecolor=INK, capsize=2)
        axes.axvline(part["headline"]["value"] or 0, color=COLOURS[1], linewidth=1, label=part["headline"]["name"])
        axes.invert_yaxis()
        axes.figure.legend(loc="outside lower center", frameon=False)
        axes.set(xlabel="official metric (95% interval)")


def _around(figure: Figures) -> tuple[float, float]:
    low, value, high = figure.get("low"), figure["value"], figure.get("high")
    return (0.0, 0.0) if low is None or high is None else (max(0.0, value - low), max(0.0, high - value))


def _bias(part: Figures, path: Path, title: str) -> None:
    slots(part["position_bias"], path, title)


def _histogram(part: Figures, path: Path, title: str) -> None:
    groups = part["histogram"]
    width = 0.8 / len(groups)
    with _axes(path, title) as axes:
        for at, (name, counts) in enumerate(groups.items()):
            total = sum(counts.values())
            places = [int(score) + (at - (len(groups) - 1) / 2) * width for score in counts]
            heights = [count / total for count in counts.values()]
            axes.bar(places, heights, width, color=COLOURS[at % len(COLOURS)], label=f"{name} ({total:,})")
        axes.legend(frameon=False)
        axes.set(xlabel="score of one judgement", ylabel="share of the judgements")


def _risk(part: Figures, path: Path, title: str) -> None:
    found = part["risk_coverage"]
    with _axes(path, title) as axes:
        axes.step(found["coverage"], found["risk"], where="post", color=COLOURS[0], linewidth=1.6)
        axes.set(xlabel="share of the items answered, surest first", ylabel="error among them")
        axes.set(xlim=(0, 1.02), ylim=(0, None))


def _tokens(part: Figures, path: Path, title: str) -> None:
    found = part["tokens"]["written"]
    with _axes(path, title) as axes:
        axes.stairs(found["counts"], found["edges"], fill=True, color=COLOURS[0])
        axes.axvline(found["mean"], color=COLOURS[1], linewidth=1, label=f"mean {found['mean']:,.0f}")
        axes.legend(frameon=False)
        axes.set(xlabel="tokens written an item, all judgements", ylabel="items")


def _balanced(part: Figures) -> bool:
    found = (part.get("position_bias") or {"n": {}})["n"].values()
    return any(one["items_balanced"] for one in found)


PICTURES: dict[str, tuple[Callable[[Figures], Any], Callable[[Figures, Path, str], None]]] = {
    "accuracy": (lambda part: part.get("curve"), _accuracy),
    "headline": (lambda part: part.get("headline_by_k") and not part.get("curve"), _headline_by_k),
    "subsets": (lambda part: any(one.get("value") is not None for one in part["subsets"].values()), _subset_bars),
    "position": (_balanced, _bias),
    "scores": (lambda part: part.get("histogram"), _histogram),
    "risk": (lambda part: (part.get("risk_coverage") or {}).get("coverage"), _risk),
    "tokens": (lambda part: part.get("tokens"), _tokens),
}
"""Picture -> (what it needs, how it is drawn)."""
