"""Pictures of what `revote` and `position_bias` found, as PNG, SVG or PDF.

    curve(revote(runs, [1, 2, 4, 8], ["sum", "majority"]), "curve.png")

Draws plain JSON figures as they stand; knows nothing about how they came about. Needs matplotlib.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from .types_grm import InvalidInput

KINDS = (".png", ".svg", ".pdf")
# Okabe and Ito's colours, which people with colour-blindness tell apart (yellow is too light on white); shapes help.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SHAPES = ("o", "s", "^", "D", "v", "P", "X")
INK, GRID = "#333333", "#E3E3E3"
STYLE: dict[str, Any] = {
    "font.size": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "svg.hashsalt": "modeling-grm",
}


class _Library(NamedTuple):
    rc_context: Any
    figure: Any
    scalar_formatter: Any
    fixed_locator: Any


def _library() -> _Library:
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
        from matplotlib.ticker import FixedLocator, ScalarFormatter
    except ImportError as error:
        raise ImportError("drawing needs matplotlib: pip install 'modeling-grm[plots]'") from error
    return _Library(rc_context, Figure, ScalarFormatter, FixedLocator)


@contextmanager
def drawing(path: Path, title: str | None, width: float, height: float) -> Iterator[Any]:
    """A figure of that many inches to draw on, saved behind the block; the same figures give the same file.

    Raises:
        ImportError: matplotlib is missing.
    """
    library = _library()
    with library.rc_context(STYLE):
        figure = library.figure(figsize=(width, height), layout="constrained")
        yield figure
        if title:
            figure.suptitle(title)
        dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        figure.savefig(path, dpi=150, metadata=dates.get(path.suffix.lower()))


def curve(points: Sequence[Mapping[str, Any]], path: str | Path, title: str | None = None) -> Path:
    """Accuracy against k beside accuracy against generated tokens, with 95% bands.

    Args:
        points: of `revote`; where no tokens were counted, there is one panel only.
        path: a `.png`, `.svg` or `.pdf` file; its folder must be there.
        title: above all.

    Raises:
        InvalidInput: no points, or another kind of file.
        ImportError: matplotlib is missing.
    """
    path = _checked(path, points)
    axes_of = [("k", "samples an item, k")]
    if all(point["tokens"] for point in points):
        axes_of.append(("tokens", "generated tokens an item"))
    with drawing(path, title, 0.6 + 4.4 * len(axes_of), 4.2) as figure:
        for at, (axes, (key, label)) in enumerate(zip(_panels(figure, len(axes_of)), axes_of, strict=True)):
            _lines(axes, points, key)
            _log_axis(axes, sorted({point[key] for point in points}), key)
            axes.set(xlabel=label, ylabel="" if at else f"accuracy ({points[0]['items']} items)")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), frameon=False)
    return path


def slots(report: Mapping[str, Any], path: str | Path, title: str | None = None) -> Path:
    """Mean slot effects with their 95% intervals, one panel for each number of responses.

    Args:
        report: of `position_bias`.
        path: a `.png`, `.svg` or `.pdf` file; its folder must be there.
        title: above all.

    Raises:
        InvalidInput: nothing to draw, or another kind of file.
        ImportError: matplotlib is missing.
    """
    drawn = {n: part for n, part in report["n"].items() if part["items_balanced"]}
    path = _checked(path, drawn)
    with drawing(path, title, 1.2 + 2.8 * len(drawn), 3.6) as figure:
        for at, (axes, (n, part)) in enumerate(zip(_panels(figure, len(drawn)), drawn.items(), strict=True)):
            _effects(axes, part["slot_effect"])
            axes.set(title=f"{n} responses ({part['items_balanced']} items)", xlabel="slot in which it is shown")
            axes.set_ylabel("" if at else "points above its mean over slots")
    return path


def _checked(path: str | Path, what: Any) -> Path:
    path = Path(path)
    if path.suffix.lower() not in KINDS:
        raise InvalidInput(f"path: {str(path)!r} is no kind of picture; end it in {', '.join(KINDS)}")
    if not what:
        raise InvalidInput("points: there is nothing to draw; vote on stored samples first")
    return path


def _panels(figure: Any, count: int) -> list[Any]:
    return list(figure.subplots(1, count, sharey=True, squeeze=False)[0])


def _lines(axes: Any, points: Sequence[Mapping[str, Any]], key: str) -> None:
    for at, name in enumerate(dict.fromkeys(point["curve"] for point in points)):
        line = sorted((point for point in points if point["curve"] == name), key=lambda point: point[key])
        across, colour = [point[key] for point in line], COLOURS[at % len(COLOURS)]
        low, high = ([point[end] for point in line] for end in ("low", "high"))
        axes.fill_between(across, low, high, color=colour, alpha=0.10, linewidth=0)
        mean = [point["accuracy"] for point in line]
        axes.plot(across, mean, color=colour, marker=SHAPES[at % len(SHAPES)], markersize=5, linewidth=1.6, label=name)


def _log_axis(axes: Any, values: Sequence[float], key: str) -> None:
    library = _library()
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(library.scalar_formatter())
    if key == "k":
        axes.xaxis.set_major_locator(library.fixed_locator(values))
    axes.xaxis.set_minor_locator(library.fixed_locator([]))


def _effects(axes: Any, effects: Sequence[Mapping[str, Any]]) -> None:
    at, means = [effect["slot"] for effect in effects], [effect["effect"] for effect in effects]
    below = [effect["effect"] - effect["low"] for effect in effects]
    above = [effect["high"] - effect["effect"] for effect in effects]
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.errorbar(at, means, yerr=(below, above), fmt="o", color=COLOURS[0], capsize=3, markersize=5)
    axes.set_xticks(at)
    axes.margins(x=0.2)
