"""What is measured where: the grid of points, the engines with the points that they take, and a rough estimate.

A point is (prompt tokens, new tokens, samples k, orders n) for each of some items. Standard library only: the parent
process reads it without loading torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

SHAPES = ((300, 64), (900, 128), (2000, 256))
KS, NS = (1, 8, 32), (1, 2, 4)
MAIN_SHAPE, MAIN_K = (900, 128), 8
CONCURRENT_ITEMS = 16
NAIVE_SAMPLES = 4  # each costs the same, so that a few tell the speed of any number


@dataclass(frozen=True)
class Point:
    """`items` items, each judged k times in n orders; prompts of about `prompt` tokens, samples of exactly `new`."""

    prompt: int
    new: int
    k: int
    n: int = 1
    items: int = 1

    def __str__(self) -> str:
        several = f" x {self.items} items" if self.items > 1 else ""
        return f"{self.prompt} + {self.new}, k = {self.k}, n = {self.n}{several}"

    @property
    def tokens(self) -> int:
        """New tokens of the whole point."""
        return self.items * self.k * self.new

    def to_dict(self) -> dict[str, int]:
        """Plain JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Grid:
    """The points of a run, the main one first, so that an interrupted run has what matters most."""

    main: Point
    concurrent: Point
    points: tuple[Point, ...]

    @property
    def has_goals(self) -> bool:
        """Whether the main point is the one that the goals speak of."""
        return self.main == Point(*MAIN_SHAPE, k=MAIN_K)

    def repeats(self, point: Point, asked: int) -> int:
        """How often a point is measured: once where it only fills the table."""
        return asked if point in (self.main, self.concurrent) else 1


def grid(
    shapes: Sequence[tuple[int, int]] = SHAPES, ks: Sequence[int] = KS, ns: Sequence[int] = NS, quick: bool = False
) -> Grid:
    """All combinations that differ: k samples show k orders at most."""
    shape = MAIN_SHAPE if MAIN_SHAPE in shapes else shapes[0]
    k = MAIN_K if MAIN_K in ks else max(ks)
    main = Point(*shape, k=k, n=min(ns))
    concurrent = Point(*shape, k=k, n=1, items=CONCURRENT_ITEMS)
    every = [Point(*shape, k=k, n=n) for shape in shapes for k in ks for n in ns if n <= k]
    rest = () if quick else tuple(point for point in every if point != main)
    return Grid(main, concurrent, (main, concurrent, *rest))


# ---------------------------------------------------------------------- engines


When = Callable[[Point, Grid], bool]


def _alone(point: Point, _: Grid) -> bool:
    return point.items == 1


def _at_main(point: Point, grid: Grid) -> bool:
    return point == grid.main


def _where_it_counts(point: Point, grid: Grid) -> bool:
    return point in (grid.main, grid.concurrent)


def _everywhere(*_: Any) -> bool:
    return True


@dataclass(frozen=True)
class Kind:
    """An engine: the process that it runs in, where it is measured, and what it roughly costs.

    Attributes:
        family: engines of one family share a process and take turns, repeat by repeat.
        when: the points that it takes.
        prefill: seconds a prompt token, step: seconds a decoding step, row: seconds more for each sample in it. Rough,
            for two cores: an estimate before the run and nothing else.
        one_by_one: each sample is a call of its own.
        copies: each sample reads its prompt anew.
    """

    family: str
    when: When
    prefill: float
    step: float
    row: float
    one_by_one: bool = False
    copies: bool = False

    def seconds(self, point: Point) -> float:
        """Rough time of one measurement."""
        read = point.items * (point.k if self.copies else point.n) * point.prompt * self.prefill
        rows, turns = (1, point.k) if self.one_by_one else (point.k * point.items, 1)
        return read + turns * point.new * (self.step + rows * self.row * (1 + point.prompt / 900) / 2)


KINDS = {
    "naive": Kind("transformers", _alone, 0.0016, 0.06, 0.0, one_by_one=True, copies=True),
    "naive-bf16": Kind("transformers", _at_main, 0.0012, 0.06, 0.0, one_by_one=True, copies=True),
    "num_return_sequences": Kind("transformers", _alone, 0.0016, 0.06, 0.015, copies=True),
    "num_return_sequences-bf16": Kind("transformers", _at_main, 0.0012, 0.06, 0.02, copies=True),
    "ours-fp32": Kind("transformers", _alone, 0.0016, 0.05, 0.006),
    "ours": Kind("transformers", _everywhere, 0.0012, 0.04, 0.004),
    "vllm-raw": Kind("vllm", _everywhere, 0.0008, 0.025, 0.002),
    "vllm-raw-seeded": Kind("vllm", _where_it_counts, 0.0008, 0.025, 0.002),
    "vllm-ours": Kind("vllm", _everywhere, 0.0008, 0.025, 0.002),
    "openai": Kind("openai", _everywhere, 0.0008, 0.025, 0.002),
}
FAMILIES = tuple(dict.fromkeys(kind.family for kind in KINDS.values()))


def measured_at(engine: str, point: Point) -> Point:
    """Where an engine's speed at a point is taken: the naive loop's is the same for every k and n."""
    one_by_one = KINDS[engine].one_by_one
    return Point(point.prompt, point.new, k=NAIVE_SAMPLES) if one_by_one else point


def engines_at(point: Point, grid: Grid, engines: Iterable[str]) -> list[str]:
    """The engines that take a point."""
    return [engine for engine in engines if KINDS[engine].when(point, grid)]


def work(grid: Grid, engines: Sequence[str], repeats: int) -> Iterator[tuple[str, Point, int]]:
    """(engine, point, repeat) in the order of measurement: engines take turns, so that noise hits all of them."""
    for point in grid.points:
        for repeat in range(grid.repeats(point, repeats)):
            for engine in engines_at(point, grid, engines):
                yield engine, measured_at(engine, point), repeat


def estimate(todo: Iterable[tuple[str, Point, int]]) -> dict[str, float]:
    """Rough seconds of each engine."""
    seconds: dict[str, float] = {}
    for engine, point, _ in dict.fromkeys(todo):
        seconds[engine] = seconds.get(engine, 0.0) + KINDS[engine].seconds(point)
    return seconds
