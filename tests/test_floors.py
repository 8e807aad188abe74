"""Keeps the floors of the house: imports go downwards only, and the portable files load from a model repo on the Hub.

Everything here reads source text; nothing of the package is run. Why each rule is there: the Hub's loader scans a
file's raw text for `from .x import`, walks its syntax tree for other packages, and copies nothing but those .py files.
"""

from __future__ import annotations

import ast
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from transformers.dynamic_module_utils import get_imports, get_relative_imports

PACKAGE = Path(__file__).resolve().parent.parent / "modeling_grm"

# A new file must be placed here. Portable files are copied as they are into every model repo.
PORTABLE = {
    "types_grm": 1,
    "configuration_grm": 1,
    "prompts_grm": 2,
    "parsing_grm": 2,
    "voting_grm": 2,
    "fitting_grm": 2,
    "constraint_grm": 2,
    "rules_grm": 2,
    "stopping_grm": 2,
    "confidence_grm": 2,
    "known_grm": 2,
    "adapters_grm": 3,
    "slots_grm": 3,
    "decoding_grm": 3,
    "scoring_grm": 3,
    "generation_grm": 3,
    "judged_grm": 3,
    "meta_rm_grm": 3,
    "first_reading_grm": 3,
    "pipeline_grm": 4,
}
# Local files; a folder stands for all that is in it. The package's own `__init__` is the way in: nothing imports it
# but the floor above.
LOCAL = {
    "backends": 4,
    "trajectories": 4,
    "runs": 4,
    "ballots": 4,
    "subsets": 4,
    "bootstrap": 4,
    "revoting": 4,
    "bias": 4,
    "plots": 4,
    "calibration": 4,
    "storing": 4,
    "streaming": 4,
    "meta_quality": 4,
    "reports": 4,
    "baselines": 4,
    "pairing": 4,
    "judging": 5,
    "bench": 5,
    "comparing": 5,
    "offline": 5,
    "rating": 5,
    "rewards": 4,
    "rollouts": 4,
    "masked_attention": 4,
    "shared_prompts": 4,
    "shared_passes": 4,
    "collapse": 4,
    "rows": 4,
    "hub_paths": 4,
    "embedded": 4,
    "loading": 4,
    "portable": 4,
    "publishing": 4,
    "publish": 5,
    "data": 4,
    "benchmarks": 4,
    "__init__": 5,
    "console": 5,
    "options": 5,
    "cli": 5,
    "recipes": 5,
    "meta_examples": 5,
    "meta_head": 5,
    "meta_training": 5,
    "toys": 4,
    "packing": 4,
    "trainable": 4,
    "classifiers": 4,
}

STDLIB_FLOORS = 2
ALLOWED_PACKAGES = {"torch", "transformers"}


@dataclass(frozen=True)
class Import:
    """One import statement: `level` leading dots, the module after them ("" for `from . import x`), the names taken."""

    line: int
    level: int
    module: str
    names: tuple[str, ...] = ()


def module_name(path: Path, root: Path = PACKAGE) -> str:
    """`modeling_grm/data/contrast/build.py` -> `data.contrast.build`; a folder's `__init__` is the folder."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts if len(parts) == 1 or parts[-1] != "__init__" else parts[:-1])


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
PORTABLE_FILES = [path for path in MODULES.values() if path.stem.endswith("_grm")]


def floor_of(module: str) -> int | None:
    """Which floor a module stands on; None where nobody placed it."""
    return PORTABLE.get(module, LOCAL.get(module.split(".")[0]))


def imports_of(source: str) -> list[Import]:
    """Every import of a file: those inside functions, `try` and `TYPE_CHECKING` too, and dynamic ones by constant."""
    return [found for node in ast.walk(ast.parse(source)) for found in _imports_at(node)]


def _imports_at(node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(node.lineno, 0, alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield Import(node.lineno, node.level, node.module or "", tuple(alias.name for alias in node.names))
    elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
        named = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else "<computed>"
        yield Import(node.lineno, 0, str(named))


def portability_faults(source: str, floor: int) -> list[str]:
    """What would keep this text from standing on that floor as a portable file."""
    allowed = set() if floor <= STDLIB_FLOORS else ALLOWED_PACKAGES
    real = {found.module for found in imports_of(source) if found.level}
    faults = [fault for found in imports_of(source) for fault in _import_faults(found, allowed, floor)]
    faults += [f"text: reads as `from .{name} import` to the Hub's loader" for name in _scanned(source) - real]
    faults += [
        f"line {node.lineno}: __file__ is of no use, data files are not copied"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Name) and node.id == "__file__"
    ]
    return faults


def _import_faults(found: Import, allowed: set[str], floor: int) -> Iterator[str]:
    if found.level:
        if found.level > 1 or not found.module or "." in found.module:
            yield f"line {found.line}: only `from .x_grm import y` loads from the Hub"
        elif found.module not in PORTABLE:
            yield f"line {found.line}: .{found.module} is not a portable file"
        elif PORTABLE[found.module] > floor:
            yield f"line {found.line}: .{found.module} stands on a higher floor"
    elif (top := found.module.split(".")[0]) not in sys.stdlib_module_names | allowed:
        yield f"line {found.line}: {top} is not allowed on floor {floor}"


def _scanned(source: str) -> set[str]:
    """The modules that the Hub's loader would look for beside a file with this text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scanned.py"
        path.write_text(source, encoding="utf-8")
        return set(get_relative_imports(path))


def targets_of(importer: str, path: Path) -> Iterator[tuple[int, str]]:
    """(line, module of this package) for every import of it in a file, however it is spelt."""
    folder = importer.split(".") if path.stem == "__init__" else importer.split(".")[:-1]
    folder = [] if importer == "__init__" else folder
    for found in imports_of(path.read_text(encoding="utf-8")):
        if found.level:
            base = folder[: len(folder) - (found.level - 1)]
        elif found.module.split(".")[0] == PACKAGE.name:
            base, found = [], Import(found.line, 1, found.module.partition(".")[2], found.names)
        else:
            continue
        whole = ".".join(base + [part for part in found.module.split(".") if part])
        for name in found.names or ("",):
            inner = f"{whole}.{name}".strip(".")
            yield found.line, inner if inner in MODULES else whole or "__init__"


GRAPH = {module: set(targets_of(module, path)) for module, path in MODULES.items()}


def private_imports(source: str) -> list[str]:
    """What a file takes from another although its name says that it belongs to that file alone."""
    return [
        f"line {found.line}: {name}"
        for found in imports_of(source)
        for name in found.names
        if name.startswith("_") and not name.startswith("__")
    ]


def find_cycle(graph: dict[str, set[str]]) -> list[str] | None:
    """Some modules that import one another in a ring, or None."""
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> list[str] | None:
        if module in trail:
            return [*trail[trail.index(module) :], module]
        if module in done:
            return None
        done.add(module)
        rings = (visit(below, [*trail, module]) for below in sorted(graph.get(module, ())))
        return next((ring for ring in rings if ring), None)

    return next((ring for ring in (visit(module, []) for module in graph) if ring), None)


def import_errors_of(source: str) -> list[tuple[int, str]]:
    """(line, text) of every `raise ImportError(...)`; the text is its constant parts, joined."""
    return [
        (node.lineno, "".join(part.value for part in ast.walk(node.exc) if _is_text(part)))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and ast.unparse(node.exc.func) in ("ImportError", "ModuleNotFoundError")
    ]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_every_file_is_placed() -> None:
    unplaced = [module for module in MODULES if floor_of(module) is None]
    assert not unplaced, f"place these in PORTABLE or LOCAL above: {unplaced}"


def test_portable_files_are_flat_and_listed() -> None:
    assert {path.stem for path in PORTABLE_FILES} <= set(PORTABLE)
    assert all(path.parent == PACKAGE for path in PORTABLE_FILES)


@pytest.mark.parametrize("path", PORTABLE_FILES, ids=lambda path: path.stem)
def test_portable_file_keeps_its_floor(path: Path) -> None:
    assert not portability_faults(path.read_text(encoding="utf-8"), PORTABLE[path.stem])


@pytest.mark.parametrize("path", PORTABLE_FILES, ids=lambda path: path.stem)
def test_the_loader_sees_only_what_is_installed(path: Path) -> None:
    """The same question, put to the Hub loader's own functions."""
    assert {f"{name}.py" for name in get_relative_imports(path)} <= {file.name for file in PORTABLE_FILES}
    assert set(get_imports(path)) <= sys.stdlib_module_names | ALLOWED_PACKAGES


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downwards(module: str) -> None:
    floor = floor_of(module) or 0
    upwards = [f"line {line}: {target}" for line, target in GRAPH[module] if (floor_of(target) or 99) > floor]
    assert not upwards


@pytest.mark.parametrize("module", MODULES)
def test_private_names_stay_in_their_file(module: str) -> None:
    assert not private_imports(MODULES[module].read_text(encoding="utf-8"))


def test_a_private_import_is_found() -> None:
    source = "from __future__ import annotations\nfrom .plots import (\n    curve,\n    _save,\n)"
    assert private_imports(source) == ["line 2: _save"]


def test_no_import_cycle() -> None:
    ring = find_cycle({module: {target for _, target in found} for module, found in GRAPH.items()})
    assert ring is None, " -> ".join(ring or ())


def test_import_errors_carry_the_pip_line() -> None:
    raised = {module: import_errors_of(path.read_text(encoding="utf-8")) for module, path in MODULES.items()}
    silent = [
        f"{module}:{line}" for module, found in raised.items() for line, text in found if "pip install" not in text
    ]
    assert not silent
    assert raised["rows"], "rows.py asks for pyarrow: the search above has stopped finding such errors"


@pytest.mark.parametrize(
    ("source", "floor"),
    [
        ("from . import types_grm", 4),
        ("from ..types_grm import Request", 4),
        ("from .data.contrast import build", 4),
        ("import modeling_grm", 4),
        ("from modeling_grm.types_grm import Request", 4),
        ("from .rows import read_rows", 4),
        ("from .pipeline_grm import RewardScoringPipeline", 3),
        ("import torch", 2),
        ("import numpy", 4),
        ("def f():\n    import vllm", 4),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import vllm", 4),
        ("try:\n    import vllm\nexcept ImportError:\n    vllm = None", 4),
        ("import importlib\nimportlib.import_module('modeling_grm.cli')", 4),
        ("import importlib\nimportlib.import_module(name)", 4),
        ('"""Use it so:\n\n    from .nowhere import y\n"""', 4),
        ("open(__file__)", 4),
    ],
)
def test_a_breach_is_found(source: str, floor: int) -> None:
    assert portability_faults(source, floor)


@pytest.mark.parametrize(
    ("source", "floor"),
    [
        ("from __future__ import annotations\nimport re\nfrom .types_grm import Request", 2),
        ("import torch\nfrom transformers import Pipeline\nfrom .voting_grm import vote", 3),
        ('"""It says from .x import y in the middle of a line."""', 1),
    ],
)
def test_a_sound_file_passes(source: str, floor: int) -> None:
    assert not portability_faults(source, floor)


def test_cycles_are_found() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert find_cycle({"a": {"a"}}) == ["a", "a"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def test_imports_are_resolved_however_spelt(tmp_path: Path) -> None:
    spellings = "from .types_grm import Request\nimport modeling_grm.rows\nfrom modeling_grm import __version__, rows\n"
    path = tmp_path / "cli.py"
    path.write_text(spellings, encoding="utf-8")
    assert {target for _, target in targets_of("cli", path)} == {"types_grm", "rows", "__init__"}


def test_errors_without_a_way_out_are_found() -> None:
    assert import_errors_of('raise ImportError(f"no {x}, sorry")') == [(1, "no , sorry")]
