"""Rows become items: from files with the Hub's columns, from a Hub, from a URL, and from the project's own rows."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest
from hub import LocalHub
from hub.here import spoken_to

from modeling_grm.benchmarks import BENCHMARKS, Item, benchmarks_table, load_items, markdown
from modeling_grm.benchmarks.loading import load
from modeling_grm.benchmarks.making import content_id, listed, lot
from modeling_grm.types_grm import InvalidInput, Request

MADE_UP = Path(__file__).parent / "data" / "benchmarks"
COUNTS = {
    "rewardbench": 8,
    "rewardbench-prior": 4,
    "rewardbench2": 5 + 3 + 5 + 19 + 2,
    "ppe-preference": 6,
    "ppe-correctness": 5 * 4,
    "ppe-best-of-32": 5 * 2 * 32,
    "rmb": 3,
    "realmistake": 12,
    "rm-bench": 5,
    "judgebench": 3,
    "llmbar": 5,
    "evalbiasbench": 6,
}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def own_rows(count: int, subsets: int = 3, **more: Any) -> list[dict[str, Any]]:
    """Rows of the project's own schema; of three subsets the first has half."""
    names = [f"s{min(n % (subsets + 1), subsets - 1)}" for n in range(count)]
    return [
        {
            "id": f"row-{n}",
            "subset": names[n],
            "conversation": [{"role": "user", "content": f"q {n}"}],
            "responses": [f"a {n}", f"b {n}"],
            "labels": [n % 2, 1 - n % 2],
        }
        | more
        for n in range(count)
    ]


def pandalm(folder: Path, rows: list[Any], **settings: Any) -> Any:
    write(folder / "pandalm_test.jsonl", rows)
    return load_items("pandalm", data=folder, **settings)


def by_id(items: list[Item]) -> dict[str, Item]:
    return {item.id: item for item in items}


class TestHubColumns:
    @pytest.mark.parametrize("name", COUNTS)
    def test_every_benchmark_reads_its_own_files(self, name: str) -> None:
        loaded = load_items(name, data=MADE_UP)
        assert len(loaded.items) == COUNTS[name]
        assert loaded.partial
        assert len(by_id(loaded.items)) == len(loaded.items)
        known = BENCHMARKS[name].subsets
        assert not known or {item.subset for item in loaded.items} <= set(known)

    @pytest.mark.parametrize("name", ["rewardbench", "rewardbench2", "rmb", "evalbiasbench", "rm-bench"])
    def test_the_right_response_is_found_and_its_place_is_drawn(self, name: str) -> None:
        for item in load_items(name, data=MADE_UP).items:
            right = ("right", "Right", "fine", "good", "best", "Red", "Blue", "Green", "letter")
            for text, label in zip(item.request.responses, item.labels or (), strict=True):
                assert label == float(text.startswith(right))

    def test_places_are_even(self) -> None:
        items = [listed(f"{n}", "q", ["a", "b"], [1, 0], "s") for n in range(1000)]
        assert 440 < sum(item.best == 0 for item in items) < 560

    def test_rewardbench_2_rates_the_responses_of_ties_alone(self) -> None:
        items = [item for item in load_items("rewardbench2", data=MADE_UP).items if item.subset == "Ties"]
        assert all(item.request.n == 1 and item.best is None for item in items)
        assert Counter(item.meta["kind"] for item in items) == {"ref": 5, "tied": 24}
        assert Counter(item.unit for item in items) == {"Ties/5": 8, "Ties/6": 21}

    def test_ppe_preference_has_no_best_where_the_person_called_it_a_tie(self) -> None:
        items = by_id(load_items("ppe-preference", data=MADE_UP).items)
        assert {name: item.labels for name, item in items.items() if item.best is None} == {
            "q3": (0.5, 0.5), "q4": (0.5, 0.5)
        }  # fmt: skip
        assert items["q2"].best == 1
        assert items["q2"].request.responses == ("First 2", "Second 2")
        assert set(items["q2"].meta["categories"]) == {"code", "shorter won", "english"}
        assert items["q6"].subset == "other languages"
        assert set(items["q5"].meta["categories"]) == {"similar responses", "non-english", "chinese"}

    def test_ppe_correctness_keeps_the_order_and_the_repetition_of_pairs(self) -> None:
        items = by_id(load_items("ppe-correctness", data=MADE_UP).items)
        first, second, again = (items[f"math/MATH-0/{at}"] for at in range(3))
        assert first.request.responses == ("answer 0", "answer 1")
        assert (first.best, second.best) == (0, 1)  # even answers are right in row 0
        assert again.request == first.request
        assert {first.unit, second.unit, again.unit} == {"math/MATH-0"}

    def test_ppe_best_of_32_rates_each_response_alone(self) -> None:
        items = by_id(load_items("ppe-best-of-32", data=MADE_UP).items)
        row = [items[f"math/MATH-0/{at}"] for at in range(32)]
        assert [item.request.responses for item in row] == [(f"answer {at}",) for at in range(32)]
        assert [item.labels for item in row] == [(float(at % 2 == 0),) for at in range(32)]
        assert {item.unit for item in row} == {"math/MATH-0"}

    def test_rmb_has_pairs_and_lists_with_all_turns(self) -> None:
        loaded = load_items("rmb", data=MADE_UP)
        items = by_id(loaded.items)
        assert items["best-of-n/1"].request.n == 3
        assert items["best-of-n/1"].subset == "best-of-n/Helpfulness/Chat/Discussion"
        assert [turn["role"] for turn in items["pairwise/2"].request.query] == ["user", "assistant", "user"]
        assert loaded.empty == 1

    def test_realmistake_calls_a_response_without_an_error_right(self) -> None:
        labels = {item.id: item.labels for item in load_items("realmistake", data=MADE_UP).items}
        assert labels["answerability_classification/gpt-4-0613/made-up-1"] == (1.0,)
        assert labels["answerability_classification/gpt-4-0613/made-up-0"] == (0.0,)

    def test_rm_bench_ids_of_two_domains_do_not_meet(self) -> None:
        items = by_id(load_items("rm-bench", data=MADE_UP).items)
        assert {"chat/8", "code/8"} <= set(items)
        item = items["chat/8"]
        styles = {"concise": "concise", "detailed": "plain", "detailed_md": "markdown"}
        assert [styles[style] for style in item.meta["by_response_style"]] == [
            text.split()[1] for text in item.request.responses
        ]

    def test_llmbar_and_judgebench_keep_the_order(self) -> None:
        bests = {item.subset: item.best for item in load_items("llmbar", data=MADE_UP).items}
        assert (bests["Natural"], bests["Adversarial_Neighbor"]) == (0, 1)
        items = by_id(load_items("judgebench", data=MADE_UP).items)
        assert (items["gpt/pair-1"].best, items["gpt/pair-2"].best) == (0, 1)
        assert items["claude/pair-3"].subset == "claude/livecodebench"

    def test_a_part_of_the_files_is_partial(self, tmp_path: Path) -> None:
        shutil.copytree(MADE_UP / "PPE-MATH-Best-of-K", tmp_path / "PPE-MATH-Best-of-K")
        whole = replace(BENCHMARKS["ppe-correctness"], rows=2)
        loaded = load(whole, tmp_path)
        assert loaded.partial
        assert {item.subset for item in loaded.items} == {"math"}

    def test_all_rows_are_not_partial(self) -> None:
        assert not load(replace(BENCHMARKS["rewardbench"], rows=8), MADE_UP).partial

    def test_parquet_as_the_hub_has_it(self, tmp_path: Path) -> None:
        as_parquet(MADE_UP / "reward-bench-2", tmp_path / "reward-bench-2")
        loaded, same = load_items("rewardbench2", data=tmp_path), load_items("rewardbench2", data=MADE_UP)
        assert loaded.items == same.items

    @pytest.mark.parametrize("where", ["data/filtered.jsonl", "rewardbench.jsonl", "reward-bench.jsonl"])
    def test_other_places(self, tmp_path: Path, where: str) -> None:
        write(tmp_path / where, lines(MADE_UP / "reward-bench/data/filtered-00000-of-00001.jsonl"))
        assert len(load_items("rewardbench", data=tmp_path).items) == 8


def as_parquet(folder: Path, target: Path) -> None:
    """A copy of a dataset with parquet files in place of JSON lines."""
    for path in folder.rglob("*.jsonl"):
        there = (target / path.relative_to(folder)).with_suffix(".parquet")
        there.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_list(lines(path)).to_parquet(there)


class TestHub:
    def test_by_id_through_datasets(self, hub: LocalHub) -> None:
        pushed(hub, "me/reward-bench", MADE_UP / "reward-bench")
        loaded = load(moved("rewardbench", "me/reward-bench"))
        assert loaded.where == "me/reward-bench (filtered)"
        assert loaded.items == load_items("rewardbench", data=MADE_UP).items

    def test_with_a_configuration(self, hub: LocalHub, tmp_path: Path) -> None:
        rows = shutil.copytree(MADE_UP / "realmistake", tmp_path / "rows")
        names = sorted(path.name for path in rows.iterdir())
        parts = [
            f"- config_name: {name}\n  data_files:\n"
            + "".join(f"  - split: {split}\n    path: {name}/{split}.jsonl\n" for split in ("gpt4", "llama2"))
            for name in names
        ]
        (rows / "README.md").write_text("---\nconfigs:\n" + "".join(parts) + "---\n", encoding="utf-8")
        pushed(hub, "me/realmistake", rows)
        assert load(moved("realmistake", "me/realmistake")).items == load_items("realmistake", data=MADE_UP).items

    def test_a_gated_dataset_says_how_to_log_in(self, hub: LocalHub, tmp_path: Path) -> None:
        pushed(hub, "org/reward-bench", MADE_UP / "reward-bench")
        hub.api().update_repo_settings("org/reward-bench", repo_type="dataset", gated="auto")
        gated = replace(moved("rewardbench", "org/reward-bench"), gated=True)
        with spoken_to(hub, tmp_path / "other") as patched:
            patched.setenv("HF_TOKEN", hub.stranger_token)
            with pytest.raises(InvalidInput, match=r"accept its terms on .* and log in with `hf auth login`"):
                load(gated)

    def test_not_there_says_how_to_name_a_folder(self, hub: LocalHub) -> None:
        with pytest.raises(InvalidInput, match=r"me/nothing \(filtered\) cannot be read: .* --data FOLDER"):
            load(moved("rewardbench", "me/nothing"))


def pushed(hub: LocalHub, name: str, folder: Path) -> None:
    """A dataset with the files of a folder."""
    hub.api().create_repo(name, repo_type="dataset")
    hub.api().upload_folder(repo_id=name, repo_type="dataset", folder_path=folder)


def moved(name: str, hub_id: str) -> Any:
    """The benchmark with its rows under another id."""
    benchmark = BENCHMARKS[name]
    return replace(benchmark, sources=tuple(replace(source, hub=hub_id) for source in benchmark.sources))


class TestNotReachable:
    def test_a_gated_dataset_says_how_to_log_in(self) -> None:
        with pytest.raises(InvalidInput, match=r"gated.*datasets/ryokamoi/realmistake.*`hf auth login`.*--data"):
            load_items("realmistake")

    def test_rows_that_are_not_on_the_hub(self) -> None:
        with pytest.raises(InvalidInput, match=r"rmb: its rows are not on the Hub.*--data FOLDER: git clone https"):
            load_items("rmb")

    def test_a_url(self, tmp_path: Path) -> None:
        path = MADE_UP / "offsetbias/data/evalbiasbench/biasbench.json"
        benchmark = BENCHMARKS["evalbiasbench"]
        there = replace(benchmark, sources=(replace(benchmark.sources[0], url=path.as_uri()),))
        assert load(there).items == load_items("evalbiasbench", data=MADE_UP).items
        gone = replace(benchmark, sources=(replace(benchmark.sources[0], url=(tmp_path / "no.json").as_uri()),))
        with pytest.raises(InvalidInput, match=r"no.json cannot be read.*--data FOLDER: git clone"):
            load(gone)

    def test_no_folder_and_no_files(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match="nowhere is no folder"):
            load_items("rewardbench", data=tmp_path / "nowhere")
        with pytest.raises(InvalidInput, match=r"holds no rows of rewardbench; it looks for .*rewardbench_partial"):
            load_items("rewardbench", data=tmp_path)


class TestBadInput:
    def test_missing_columns_are_named(self, tmp_path: Path) -> None:
        write(tmp_path / "rewardbench.jsonl", [{"prompt": "p", "chosen": "c", "id": 1}])
        with pytest.raises(
            InvalidInput, match=r"jsonl:1: the columns rejected, subset are missing; this row has prompt"
        ):
            load_items("rewardbench", data=tmp_path)

    def test_an_unknown_subset_names_the_known_ones(self) -> None:
        with pytest.raises(InvalidInput, match="'Chat' is none of rewardbench's; known are alpacaeval-easy, "):
            load_items("rewardbench", data=MADE_UP, subsets=["Chat"])
        with pytest.raises(InvalidInput, match="'S2' is none of rmb's; known are best-of-n/Helpfulness/Chat/Disc"):
            load_items("rmb", data=MADE_UP, subsets=["S2"])

    def test_subsets_may_be_patterns(self) -> None:
        loaded = load_items("rmb", data=MADE_UP, subsets=["pairwise/*"])
        assert {item.subset for item in loaded.items} == {"pairwise/Harmlessness/S1"}
        assert loaded.partial

    def test_rows_of_no_official_subset_are_counted(self, tmp_path: Path) -> None:
        rows = lines(MADE_UP / "reward-bench/data/filtered-00000-of-00001.jsonl")
        write(tmp_path / "rewardbench.jsonl", [*rows, rows[0] | {"subset": "odd"}])
        loaded = load(replace(BENCHMARKS["rewardbench"], rows=9), tmp_path)
        assert loaded.dropped == {"not usable: subset 'odd'": 1}
        assert loaded.partial

    def test_a_row_that_is_there_twice_counts_once(self, tmp_path: Path) -> None:
        rows = own_rows(4)
        loaded = pandalm(tmp_path, [*rows, rows[0]])
        assert len(loaded.items) == 4
        assert loaded.dropped == {"there twice": 1}

    def test_two_rows_with_one_id_are_told_apart_whatever_their_order(self, tmp_path: Path) -> None:
        rows = own_rows(3)
        rows[1]["id"] = rows[0]["id"]
        ids = {item.id for item in pandalm(tmp_path, rows).items}
        assert len(ids) == 3
        assert sum(name.startswith("row-0#") for name in ids) == 2
        assert ids == {item.id for item in pandalm(tmp_path, rows[::-1]).items}

    @pytest.mark.parametrize("labels", [[2, 0], [1], None, "10", [1, -0.5], [1, "x"], [float("nan"), 0]])
    def test_labels_that_cannot_be_are_counted(self, tmp_path: Path, labels: Any) -> None:
        loaded = pandalm(tmp_path, [*own_rows(2), own_rows(3)[2] | {"labels": labels}])
        assert loaded.dropped == {"not usable: labels": 1}

    def test_ratings_are_from_1_to_5(self, tmp_path: Path) -> None:
        rows = [own_rows(4)[n] | {"responses": ["a"], "labels": [rating]} for n, rating in enumerate((1, 5, 6, 0))]
        write(tmp_path / "prometheus_absolute.jsonl", rows)
        loaded = load_items("prometheus", data=tmp_path)
        assert loaded.dropped == {"not usable: labels": 2}

    def test_responses_with_one_label_tell_nothing(self, tmp_path: Path) -> None:
        loaded = pandalm(tmp_path, [*own_rows(2), own_rows(3)[2] | {"labels": [1, 1]}])
        assert loaded.dropped == {"the responses have one label": 1}

    def test_empty_responses_are_kept_and_counted(self, tmp_path: Path) -> None:
        loaded = pandalm(tmp_path, [*own_rows(2), own_rows(3)[2] | {"responses": ["", " \n"]}])
        assert (len(loaded.items), loaded.empty, loaded.dropped) == (3, 2, {})

    def test_too_many_responses_are_counted(self, tmp_path: Path) -> None:
        many = {"responses": [f"r{n}" for n in range(17)], "labels": [1] + [0] * 16}
        assert pandalm(tmp_path, [*own_rows(2), own_rows(3)[2] | many]).dropped == {"not usable: responses": 1}

    def test_no_row_left(self, tmp_path: Path) -> None:
        with pytest.raises(
            InvalidInput, match=r"no row of .* can be used \(.*jsonl:1: labels: \[3, 3\] are out of range"
        ):
            pandalm(tmp_path, own_rows(1, labels=[3, 3]))

    @pytest.mark.parametrize("text", ['{"id": "a"', "[" * 100_000, "\xff"])
    def test_a_damaged_file_is_refused(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "pandalm_test.jsonl").write_bytes(text.encode("latin-1"))
        with pytest.raises(InvalidInput, match=r"pandalm_test.jsonl: cannot be read: .*; get the file anew"):
            load_items("pandalm", data=tmp_path)

    def test_a_cut_gzip_is_refused(self, tmp_path: Path) -> None:
        whole = gzip.compress("".join(json.dumps(row) + "\n" for row in own_rows(500)).encode())
        (tmp_path / "pandalm_test.jsonl.gz").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InvalidInput, match="cannot be read"):
            load_items("pandalm", data=tmp_path)

    @pytest.mark.parametrize("content", ['{"a": 1}', "3"])
    def test_json_that_holds_no_rows(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "biasbench.json").write_text(content, encoding="utf-8")
        with pytest.raises(InvalidInput, match="neither a list of rows nor lists by name"):
            load_items("evalbiasbench", data=tmp_path)

    def test_a_limit_below_one(self) -> None:
        with pytest.raises(InvalidInput, match="limit: 0 is not usable"):
            load_items("rewardbench", data=MADE_UP, limit=0)


class TestOwnRows:
    def test_the_reference_is_kept_from_the_judge(self, tmp_path: Path) -> None:
        (item,) = pandalm(tmp_path, own_rows(1, reference="the answer")).items
        assert item.request in (Request("q 0", ["a 0", "b 0"]), Request("q 0", ["b 0", "a 0"]))
        assert item.request.responses[item.best or 0] == "b 0"

    def test_rm_bench_needs_each_style_right_and_wrong(self, tmp_path: Path) -> None:
        row = own_rows(1)[0] | {"subset": "chat", "responses": list("abcdef"), "labels": [0, 1, 1, 0, 0, 1]}
        good = {"meta": {"by_resp_style": ["concise", "concise", "detailed", "detailed", "detailed_md", "detailed_md"]}}
        bad = {"meta": {"by_resp_style": ["concise"] * 6}}
        write(tmp_path / "rm_bench_partial.jsonl", [row | good, row | bad | {"id": "bad"}])
        loaded = load_items("rm-bench", data=tmp_path)
        assert loaded.dropped == {"not usable: by_resp_style": 1}
        assert loaded.items[0].best is None


class TestDraws:
    def test_items_do_not_depend_on_the_order_of_the_rows(self, tmp_path: Path) -> None:
        rows = own_rows(60)
        shuffled = random.Random(1).sample(rows, len(rows))
        for limit in (None, 7):
            assert pandalm(tmp_path, rows, limit=limit).items == pandalm(tmp_path, shuffled, limit=limit).items

    def test_dropped_rows_leave_the_others_as_they_are(self, tmp_path: Path) -> None:
        rows = own_rows(60)
        whole = by_id(pandalm(tmp_path, rows).items)
        some = by_id(pandalm(tmp_path, rows[::3]).items)
        assert all(whole[name] == item for name, item in some.items())

    def test_a_limit_takes_its_due_of_each_subset_and_a_larger_one_adds_to_it(self, tmp_path: Path) -> None:
        rows = own_rows(400)  # s0, s1: 100 each, s2: 200
        small = pandalm(tmp_path, rows, limit=20).items
        assert Counter(item.subset for item in small) == {"s0": 5, "s1": 5, "s2": 10}
        large = pandalm(tmp_path, rows, limit=40).items
        assert large[:20] == small
        three = pandalm(tmp_path, rows, limit=3).items
        assert {item.subset for item in three} == {"s0", "s1", "s2"}

    def test_the_seed_draws_anew(self, tmp_path: Path) -> None:
        rows = own_rows(400)
        one, other = (pandalm(tmp_path, rows, limit=20, seed=seed).items for seed in (0, 1))
        assert {item.id for item in one} != {item.id for item in other}

    def test_what_counts_together_stays_together(self) -> None:
        loaded = load_items("rewardbench2", data=MADE_UP, limit=14)
        ties = Counter(item.unit for item in loaded.items if item.subset == "Ties")
        assert sum(ties.values()) in (0, 8)
        assert len(loaded.items) <= 14
        assert loaded.partial

    def test_chance_is_the_same_everywhere(self) -> None:
        assert content_id("a") == "0eb5b8d6f81b"
        assert len({lot(0, "a"), lot(1, "a"), lot("1", "a")}) == 3


def test_the_page_is_up_to_date() -> None:
    page = Path(__file__).parent.parent / "modeling_grm" / "benchmarks" / "README.md"
    assert page.read_text(encoding="utf-8") == markdown(BENCHMARKS.values())
    assert all(f"| {name} |" in benchmarks_table() for name in BENCHMARKS)
