"""Numbers become places in a picture: running means, intervals, histograms, and the frame that they are drawn in.

    running([(9, 2), None, (7, 4)], response=0)
    -> [Point(x=1, mean=9.0, low=None, high=None), Point(x=3, mean=8.0, low=None, high=None)]

Knows nothing about HTML: templates draw what stands here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

LOW, HIGH = 1, 10
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)  # for 1..10 degrees of freedom
LABEL_GAP = 15

Scores = Sequence[int] | None
"""One sample's scores in the caller's order; None where it cannot be read."""


def t_95(df: int) -> float:
    """Two-sided 95% quantile of Student's t; beyond ten degrees within 1% of it."""
    return T_95[df - 1] if df <= len(T_95) else 1.96 + 2.5 / df


def half_width(values: Sequence[float]) -> float | None:
    """Half of the 95% interval of the mean, over samples; None below three, where it is wider than the scale."""
    if len(values) < 3:
        return None
    middle = sum(values) / len(values)
    variance = sum((value - middle) ** 2 for value in values) / (len(values) - 1)
    return t_95(len(values) - 1) * math.sqrt(variance / len(values))


def bounds(mean: float, half: float | None) -> tuple[float, float] | None:
    """The interval, kept on the scale."""
    return None if half is None else (max(LOW, mean - half), min(HIGH, mean + half))


class Point(NamedTuple):
    """The mean over the first x samples; low and high are None where there is no interval."""

    x: float
    mean: float
    low: float | None = None
    high: float | None = None


def running(finished: Sequence[Scores], response: int) -> list[Point]:
    """One response's mean after each readable sample, in the order in which they ended."""
    points, values = [], []
    for x, scores in enumerate(finished, 1):
        if scores is not None:
            values.append(scores[response])
            mean = sum(values) / len(values)
            points.append(Point(x, mean, *(bounds(mean, half_width(values)) or ())))
    return points


def histogram(voted: Sequence[Scores], left_out: Sequence[Scores], response: int) -> list[dict[str, Any]]:
    """For each score 1..10: how many samples gave it, of those that vote and of those that do not."""
    counts = [
        [sum(scores is not None and scores[response] == score for scores in samples) for samples in (voted, left_out)]
        for score in range(LOW, HIGH + 1)
    ]
    most = max(1, *(sum(pair) for pair in counts))
    return [
        {
            "score": score,
            "votes": votes,
            "out": out,
            "votes_percent": 100 * votes / most,
            "out_percent": 100 * out / most,
        }
        for score, (votes, out) in enumerate(counts, LOW)
    ]


@dataclass(frozen=True)
class Frame:
    """Where values stand in a picture of `width` x `height` units.

    Attributes:
        x_range, y_range: the values at its edges.
        scale: of x, such as `math.log2`.
    """

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    width: int = 520
    height: int = 220
    left: int = 38
    right: int = 44
    top: int = 12
    bottom: int = 34
    scale: Callable[[float], float] = float

    def x(self, value: float) -> float:
        """From the left."""
        first, last = map(self.scale, self.x_range)
        share = (self.scale(value) - first) / ((last - first) or 1)
        return round(self.left + share * (self.width - self.left - self.right), 1)

    def y(self, value: float) -> float:
        """From the top."""
        first, last = self.y_range
        share = (value - first) / (last - first)
        return round(self.height - self.bottom - share * (self.height - self.top - self.bottom), 1)

    def line(self, points: Sequence[Point]) -> str:
        """The means, for `<polyline points>`."""
        return " ".join(f"{self.x(p.x)},{self.y(p.mean)}" for p in points)

    def band(self, points: Sequence[Point]) -> str:
        """The intervals as one area, for `<polygon points>`."""
        there = [(self.x(p.x), p.low, p.high) for p in points if p.low is not None and p.high is not None]
        edges = [(x, high) for x, _, high in there] + [(x, low) for x, low, _ in reversed(there)]
        return " ".join(f"{x},{self.y(value)}" for x, value in edges)


def apart(places: Sequence[float], gap: float = LABEL_GAP) -> list[float]:
    """The same places, pushed down where they would overlap; all moved up together by half of what it took."""
    moved: dict[int, float] = {}
    last = -math.inf
    for at in sorted(range(len(places)), key=lambda at: places[at]):
        last = moved[at] = max(places[at], last + gap)
    lift = max((moved[at] - places[at] for at in moved), default=0.0) / 2
    return [round(moved[at] - lift, 1) for at in range(len(places))]


def growth(finished: Sequence[Scores], n: int, most: int) -> dict[str, Any]:
    """The picture of how each response's mean came about, for `growth.svg.jinja`."""
    frame = Frame((1, max(2, most)), (LOW, HIGH))
    lines = [running(finished, response) for response in range(n)]
    ends = apart([frame.y(points[-1].mean) for points in lines if points])
    return {
        "frame": frame,
        "y_ticks": [(score, frame.y(score)) for score in (1, 4, 7, 10)],
        "x_ticks": [(x, frame.x(x)) for x in _ticks(max(2, most))],
        "lines": [
            {
                "line": frame.line(points),
                "band": frame.band(points),
                "dots": _dots(frame, finished, response, n),
                "end": (frame.x(points[-1].x), frame.y(points[-1].mean), ends[response]) if points else None,
            }
            for response, points in enumerate(lines)
        ],
    }


def _dots(frame: Frame, finished: Sequence[Scores], response: int, n: int) -> list[tuple[float, float]]:
    """Each sample's own score, the responses side by side where they share one."""
    aside = (response - (n - 1) / 2) * 3
    return [
        (round(frame.x(x) + aside, 1), frame.y(scores[response]))
        for x, scores in enumerate(finished, 1)
        if scores is not None
    ]


def _ticks(most: int) -> list[int]:
    step = next(step for step in (1, 2, 4, 8) if most / step <= 10)
    return [1, *range(step if step > 1 else 2, most + 1, step)]


def scaling(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Accuracy against k, one line a voting rule, for `scaling.html.jinja`."""
    ks = sorted({point["k"] for point in points})
    low, high = min(p["low"] for p in points), max(p["high"] for p in points)
    y_range = (math.floor(low * 50) / 50, math.ceil(high * 50) / 50)
    frame = Frame((ks[0], ks[-1]), y_range, height=250, left=58, right=34, scale=math.log2)
    lines = []
    for name in dict.fromkeys(point["curve"] for point in points):
        own = sorted((p for p in points if p["curve"] == name), key=lambda p: p["k"])
        places = [Point(p["k"], p["accuracy"], p["low"], p["high"]) for p in own]
        marks = [(frame.x(p.x), frame.y(p.mean)) for p in places]
        by_k = {p["k"]: p for p in own}
        lines.append(
            {"name": name, "line": frame.line(places), "band": frame.band(places), "marks": marks, "by_k": by_k}
        )
    steps = round((y_range[1] - y_range[0]) * 50)
    values = [y_range[0] + step / 50 for step in range(0, steps + 1, max(1, steps // 5))]
    return {
        "frame": frame,
        "lines": lines,
        "ks": ks,
        "x_ticks": [(k, frame.x(k)) for k in ks],
        "y_ticks": [(f"{value:.2f}", frame.y(value)) for value in values],
    }
