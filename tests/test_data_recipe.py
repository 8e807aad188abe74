"""The recipe of the preference dataset: from source files to a folder that `load_dataset` reads; offline, on toys."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import test_recipes
import yaml
from conftest import ROOT
from datasets import load_dataset
from made_sources import MADE, made_lines, write_sources
from recipe_scripts import module_of

from hub_cards import python_blocks
from modeling_grm.data.contrast.build import split_of
from modeling_grm.data.contrast.grown import PARTS, part_of
from modeling_grm.data.pools.entries import POOLS, asked
from modeling_grm.data.preference import Report, from_row
from modeling_grm.data.sources import items_of
from modeling_grm.publishing.rows import dataset_repo
from modeling_grm.recipes import parse
from modeling_grm.types_grm import InvalidInput

FOLDER = ROOT / "recipes" / "data"
SMOKE = FOLDER / "smoke.yaml"
Row = dict[str, Any]


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, run from the repository's root."""
    monkeypatch.chdir(ROOT)
    return module_of(FOLDER / "build.py", monkeypatch)


@pytest.fixture
def smoke(recipe: ModuleType, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs smoke.yaml with some keys changed; its report."""

    def run(out: str = "out", **changes: Any) -> dict[str, Any]:
        keys = yaml.safe_load(SMOKE.read_text(encoding="utf-8"))
        said: dict[str, Any] = recipe.run(recipe.BuildArguments(**keys | {"out": str(tmp_path / out)} | changes))
        return said

    return run


def rows_of(folder: Path) -> dict[str, list[Row]]:
    """Split -> its rows, as the datasets library reads them."""
    splits = load_dataset(str(folder / "dataset"), streaming=True)
    return {name: list(rows) for name, rows in splits.items()}


def rewritten(folder: Path, name: str, change: Callable[[Row], Row]) -> str:
    """The made source files, one of them with other rows."""
    folder.mkdir(exist_ok=True)
    write_sources(folder)
    rows = [change(json.loads(line)) for line in made_lines(name).splitlines()]
    (folder / name).write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return str(folder)


def test_the_smoke_run_from_the_command_line(
    recipe: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe.main(*parse(recipe.BuildArguments, argv=["--config", str(SMOKE), "--out", str(tmp_path)]))
    said = json.loads(capsys.readouterr().out)
    assert said["parts"] == {name: len(rows) for name, rows in rows_of(tmp_path).items()}
    assert min(said["parts"].values()) > 50


def test_the_made_source_files_are_those_that_are_stored() -> None:
    assert {path.name for path in (FOLDER / "smoke").iterdir()} == set(MADE)
    for name in MADE:
        stored = gzip.decompress((FOLDER / "smoke" / name).read_bytes()).decode()
        assert stored == made_lines(name), "write them again: python tests/made_sources.py"


def test_the_folder_is_a_dataset_with_pools_shapes_and_strengths(
    smoke: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    said = smoke()
    parts = rows_of(tmp_path / "out")
    assert list(parts) == list(PARTS)
    rows = [row for found in parts.values() for row in found]
    assert {row["pool"] for row in rows} == set(POOLS)
    assert {len(row["responses"]) for row in rows} == {1, 2, 3, 4}
    assert {row["strength"] for row in rows} == {"plain", "clear", "subtle", None}
    assert {row["licence"] for row in rows} == {"MIT", "Apache-2.0"}
    assert len({row["id"] for row in rows}) == len(rows)
    assert sum(one["rows"] for one in said["counts"]) == len(rows)
    for row in rows:
        item = from_row(row)
        assert (item.best is None) == (item.request.n == 1)
        assert item.label != 1
        assert row["pool"] != "contrast" or row["strength"] is not None
        assert row["pool"] in ("contrast", "whole") or row["strength"] is None
        assert row["target"] is None or (row["pool"], row["source"]) != ("verifiable", "PRMBench")
        assert row["target"] is not None or row["pool"] == "verifiable"
        if row["pool"] != "human" and item.best is not None:
            assert [at for at, name in enumerate(row["defects"]) if name is None] == [item.best]


def test_no_prompt_is_in_two_parts_and_the_shipped_judge_has_not_seen_the_last_two(
    smoke: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    smoke()
    turns: dict[str, set[str]] = {}
    for part, rows in rows_of(tmp_path / "out").items():
        said = (turn["content"] for row in rows for turn in row["conversation"] if turn["role"] == "user")
        turns[part] = {text.strip().lower() for text in said}
        prompts = {asked(row["conversation"]) for row in rows}
        assert {part_of(prompt) for prompt in prompts} == {part}
        assert {split_of(prompt) == "train" for prompt in prompts} == {part == "train"}
    assert not turns["train"] & turns["meta"]
    assert not turns["test"] & (turns["train"] | turns["meta"])


def test_other_recipes_read_the_parts(smoke: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    said = smoke()
    for part in PARTS:
        report = Report()
        items = list(items_of(str(tmp_path / "out" / "dataset"), report, split=part))
        assert len(items) == said["parts"][part]
        assert not report.dropped


def test_length_and_place_say_nothing(smoke: Callable[..., dict[str, Any]]) -> None:
    for pools in smoke()["baselines"].values():
        for pool in ("whole", "verifiable", "human"):
            found = pools[pool]
            for name in ("longest", "shortest", "most characters"):
                assert found[name]["share"] == pytest.approx(found["chance"], abs=0.02)
            assert abs(found["first"]["share"] - found["chance"]) * found["items"] <= 6  # one of each source and n
        low, high = pools["contrast"]["longest"]["ci95"]
        assert low - 0.1 <= pools["contrast"]["chance"] <= high + 0.1


def test_the_same_seed_gives_the_same_rows(smoke: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    assert smoke("one") == smoke("two")
    assert rows_of(tmp_path / "one") == rows_of(tmp_path / "two")
    smoke("other", seed=1)
    assert rows_of(tmp_path / "other") != rows_of(tmp_path / "one")


def test_the_card_and_the_report_say_the_same(smoke: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    said = smoke()
    assert said == json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    text = (tmp_path / "out" / "dataset" / "README.md").read_text(encoding="utf-8")
    front, body = text.split("\n---\n", 1)
    card = yaml.safe_load(front.removeprefix("---"))
    assert card["license"] == ["apache-2.0", "mit"]
    assert [found["split"] for found in card["configs"][0]["data_files"]] == list(PARTS)
    assert "No benchmarks were given" in body.replace("**", "")
    rows = [row for found in rows_of(tmp_path / "out").values() for row in found]
    for (source, licence), count in Counter((row["source"], row["licence"]) for row in rows).items():
        assert f"| {source} | {licence} | {count} |" in body
    named = [(row["pool"], row["subset"], row["strength"]) for row in rows]
    pairs = named.count(("contrast", "cut_short", "subtle"))
    assert f"{pairs} (6/10) |" in next(line for line in body.splitlines() if line.startswith("| cut_short"))
    assert len(python_blocks(text)) == 1
    for name in rows[0]:
        assert f"| `{name}` |" in body


def test_it_is_published_as_it_is(smoke: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    smoke()
    out = tmp_path / "repo"
    out.mkdir()
    dataset_repo(tmp_path / "out" / "dataset", "org/preferences", out)
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert names == {"README.md", *(f"data/{part}-00000-of-00001.parquet" for part in PARTS)}


def test_benchmarks_are_kept_out(smoke: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    smoke("before")
    rows = [row for found in rows_of(tmp_path / "before").values() for row in found]
    taken = {pool: next(row for row in rows if row["pool"] == pool and not row["conversation"][1:]) for pool in POOLS}
    prompts = {pool: asked(row["conversation"]) for pool, row in taken.items()}
    prompts["human"] = taken["human"]["conversation"][-1]["content"]
    bench = tmp_path / "bench"
    bench.mkdir()
    lines = [json.dumps({"query": prompt.upper(), "responses": ["a", "b"]}) + "\n" for prompt in prompts.values()]
    (bench / "judged.jsonl").write_text("".join(lines), encoding="utf-8")
    said = smoke("after", benchmarks=[str(bench)])
    left = [row for found in rows_of(tmp_path / "after").values() for row in found]
    turns = {turn["content"].lower() for row in left for turn in row["conversation"]}
    assert not {prompt.lower() for prompt in prompts.values()} & turns
    assert not {asked(row["conversation"]).lower() for row in left} & {prompt.lower() for prompt in prompts.values()}
    found = said["decontamination"]
    assert found["prompts_refused"] >= 1
    assert found["benchmarks"]["judged"]["prompts"] == len(POOLS)
    assert found["removed"] >= 2
    assert f"| judged | {len(POOLS)} |" in (tmp_path / "after" / "dataset" / "README.md").read_text(encoding="utf-8")


def test_a_licence_that_is_not_on_the_list_stops_it(smoke: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    data = rewritten(tmp_path / "data", "hh_rlhf_harmless_test.jsonl.gz", lambda row: row | {"license": "CC BY-NC 4.0"})
    with pytest.raises(InvalidInput, match=r"'CC BY-NC 4.0' \(160 rows of hh-rlhf\)"):
        smoke(data=data)
    assert not (tmp_path / "out").exists()


def test_a_row_without_a_licence_stops_it(smoke: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    def without(row: Row) -> Row:
        return {name: value for name, value in row.items() if name != "license"}

    data = rewritten(tmp_path / "data", "prmbench_pairs.jsonl.gz", without)
    with pytest.raises(InvalidInput, match="'none stated'"):
        smoke(data=data)


def test_odd_rows_are_counted_and_gone(smoke: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    def odd(row: Row) -> Row:
        at = int(row["id"].rpartition("-")[2])
        texts = {0: ["", "b"], 1: ["[The End of Response 1]", "b"], 2: ["b\x07", "c"]}.get(at, row["responses"])
        return row | {"responses": texts} | ({"labels": [1, 1], "best": None} if at == 3 else {})

    said = smoke(data=rewritten(tmp_path / "data", "hh_rlhf_harmless_test.jsonl.gz", odd))
    dropped = {found["reason"]: found["rows"] for found in said["rows"]["dropped"] if "hh-rlhf" in found["source"]}
    assert dropped["a text is empty"] == dropped["a judge's own marks"] == dropped["broken or control characters"] == 1
    assert dropped["best: no single best response"] == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": "nowhere"}, "nowhere lacks gsm8k_problems.jsonl.gz"),
        ({"strengths": ["mild"]}, r"strengths: \['mild'\] is not usable"),
        ({"benchmarks": ["nowhere.jsonl"]}, "nowhere.jsonl: there is no such file"),
        ({"benchmarks": ["recipes/accelerate"]}, "recipes/accelerate has no file of rows"),
        ({"ngram": 1}, "n: 1 is not usable"),
    ],
)
def test_bad_input_is_named(smoke: Callable[..., dict[str, Any]], changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        smoke(**changes)


def test_the_yaml_of_the_whole_dataset_has_known_keys(recipe: ModuleType) -> None:
    args = parse(recipe.BuildArguments, argv=["--config", str(FOLDER / "preferences.yaml")])[0]
    assert sum(args.contrast_items(part) for part in PARTS) >= 20000


def test_the_script_is_bare() -> None:
    test_recipes.test_a_script_is_bare(FOLDER / "build.py")
