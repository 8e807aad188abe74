"""The benchmarks as a Markdown table: README.md beside this file is what `markdown()` returns."""

from __future__ import annotations

from collections.abc import Iterable

from .base import Benchmark

COLUMNS = ("benchmark", "Hub id", "rows", "metric", "source", "licence")
HEAD = """# Benchmarks

`grm bench NAME` reads the rows from the Hub, or with `--data FOLDER` from files with the same columns or of the
project's own row schema. Each file here says which official code it follows and what of it is not verified.
"""


def table(benchmarks: Iterable[Benchmark]) -> str:
    """One line a benchmark."""
    lines = [_line(COLUMNS), _line("---" for _ in COLUMNS)]
    return "\n".join(lines + [_line(_cells(benchmark)) for benchmark in benchmarks])


def markdown(benchmarks: Iterable[Benchmark]) -> str:
    """The whole page."""
    return f"{HEAD}\n{table(benchmarks)}\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _cells(benchmark: Benchmark) -> list[str]:
    hub = ", ".join(f"`{hub}`" for hub in benchmark.hub_id) or "-"
    gated = " (gated)" if benchmark.gated else ""
    return [
        benchmark.name,
        hub + gated,
        f"{benchmark.rows:,}",
        benchmark.metric,
        benchmark.source,
        benchmark.licence,
    ]
