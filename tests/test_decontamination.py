"""Decontamination, the licence gate and the difficulty filter: what goes out, and that it is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import CONFIG, settings

from modeling_grm.benchmarks import load_items
from modeling_grm.data.decontamination import (
    Benchmarks,
    benchmark_prompts,
    decontaminate,
    prompts_of,
    report_of,
    runs,
    words,
)
from modeling_grm.data.filters import check_licences, solved, without
from modeling_grm.data.preference import Preference, Report
from modeling_grm.data.reading import DataArguments, training_items
from modeling_grm.data.sources import items_of
from modeling_grm.scoring_grm import score
from modeling_grm.trajectories import Store
from modeling_grm.types_grm import Completion, InvalidInput, Request

MADE_UP = Path(__file__).parent / "data" / "benchmarks"
LONG = "Write a short story about a lighthouse keeper who finds a letter in a bottle every single morning of May."
WORD = st.text("abcdefgh", min_size=1, max_size=3)


def item(query: str | list[dict[str, str]], licence: str = "mit", id: str = "a") -> Preference:
    return Preference(Request(query, ["x", "y"]), 0, None, "made up", licence, id)


def known(*prompts: str, n: int = 13) -> Benchmarks:
    benchmarks = Benchmarks(n)
    benchmarks.add("bench", prompts)
    return benchmarks


def test_an_equal_prompt_goes_out_however_it_is_spelt() -> None:
    kept, removed = decontaminate([item("what's  2 + 2"), item("What is 3+3?")], known("What's 2+2?"))
    assert [kind.kind for _, kind in removed] == ["exact"]
    assert [kept[0].request.query[0]["content"]] == ["What is 3+3?"]


def test_a_long_shared_run_goes_out() -> None:
    inside = "Please do this for me: " + LONG.upper().replace("short story", "short  story") + " Thanks!"
    _, removed = decontaminate([item(inside)], known(LONG))
    (hit,) = [hit for _, hit in removed]
    assert (hit.benchmark, hit.kind, len(hit.shared.split())) == ("bench", "n-gram", 13)


def test_a_shorter_shared_run_stays() -> None:
    twelve = " ".join(LONG.split()[:12])
    assert decontaminate([item(twelve + " but about foxes")], known(LONG))[1] == []


def test_a_short_prompt_is_no_reason_inside_a_longer_one() -> None:
    assert decontaminate([item("Tell me: what is 2+2? And why?")], known("What is 2+2?"))[1] == []


def test_every_turn_of_the_user_counts_and_no_other() -> None:
    turns = [
        {"role": "user", "content": LONG},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Go"},
    ]
    assert decontaminate([item(turns)], known(LONG))[1]
    turns[0], turns[1] = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": LONG}
    assert not decontaminate([item(turns)], known(LONG))[1]


@given(st.lists(WORD, min_size=1, max_size=30), st.lists(WORD, min_size=1, max_size=30), st.integers(2, 5))
def test_found_exactly_where_words_or_a_run_are_shared(prompt: list[str], asked: list[str], n: int) -> None:
    hit = known(" ".join(prompt), n=n).find([" ".join(asked)])
    shared = set(runs(asked, n)) & set(runs(prompt, n))
    assert (hit is not None) == (prompt == asked or bool(shared))
    assert hit is None or hit.kind == ("exact" if prompt == asked else "n-gram")


@given(st.text(max_size=40))
def test_words_are_words_and_stay_so(text: str) -> None:
    assert words(" ".join(words(text))) == words(text)


def test_the_first_benchmark_that_has_it_is_named_and_all_are_reported() -> None:
    benchmarks = known("What is 2+2?")
    benchmarks.add("other", ["What is 2+2?", LONG])
    _, removed = decontaminate([item("what is 2+2", id="a-1"), item("What is 2+2?", id="a-2"), item(LONG)], benchmarks)
    said = report_of(benchmarks, removed)
    assert said["removed"] == 3
    assert said["benchmarks"]["bench"] == {
        "prompts": 1,
        "exact": 2,
        "n-gram": 0,
        "examples": [{"id": "a-1", "source": "made up", "kind": "exact", "shared": "what is 2 2"}],
    }
    assert said["benchmarks"]["other"]["exact"] == 1
    json.dumps(said)


def test_a_benchmark_without_prompts_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'empty' gave no prompts"):
        Benchmarks().add("empty", [])
    with pytest.raises(InvalidInput, match="n: 1"):
        Benchmarks(1)


def test_prompts_from_files(tmp_path: Path, sample_path: Path) -> None:
    assert len(list(prompts_of(sample_path))) == 200
    (tmp_path / "rows.jsonl").write_text('{"query": "q", "responses": []}\n', encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"rows.jsonl:1: responses: .* must all be readable"):
        list(prompts_of(tmp_path / "rows.jsonl"))


@pytest.mark.parametrize(
    ("name", "prompts"),
    [
        ("rewardbench", 8),
        ("judgebench", 3),
        ("llmbar", 5),
        ("evalbiasbench", 6),
        ("realmistake", 2),
        ("rmb", 3),
        ("ppe-correctness", 10),
    ],
)
def test_prompts_of_a_benchmark_each_once(name: str, prompts: int) -> None:
    found = list(benchmark_prompts(name, MADE_UP))
    items = load_items(name, data=MADE_UP).items
    assert set(found) == {item.request.query[-1]["content"] for item in items}
    assert len(found) == len(set(found)) == prompts


def test_a_benchmark_with_a_gap_is_refused(tmp_path: Path) -> None:
    row = {"input": "q", "output_1": "a", "output_2": "b", "label": 1}
    (tmp_path / "llmbar-Natural.jsonl").write_text(f"{json.dumps(row)}\n{json.dumps(row | {'label': 3})}\n")
    with pytest.raises(InvalidInput, match=r"llmbar: 1 not usable: label; a benchmark's prompts must all be readable"):
        benchmark_prompts("llmbar", tmp_path)
    with pytest.raises(InvalidInput, match="'mystery' is not known"):
        benchmark_prompts("mystery")


def test_training_rows_are_kept_apart_from_a_benchmark_in_a_folder(tmp_path: Path) -> None:
    prompt = next(benchmark_prompts("rmb", MADE_UP))
    rows = [{"prompt": asked, "chosen": "a", "rejected": "b", "licence": "mit"} for asked in (prompt, "Why is it so?")]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    named, said = f"rmb={MADE_UP}", {}
    items = training_items(DataArguments(rows=[str(path)], benchmarks=[named]), Report(), said)
    assert [item.request.query[-1]["content"] for item in items] == ["Why is it so?"]
    assert said["decontamination"]["benchmarks"][named]["exact"] == 1


def test_known_overlap_of_real_files_is_found(grm_data: Path) -> None:
    """PRMBench and ProcessBench share MATH problems (the data folder's README counts 70 prompts)."""
    benchmarks = Benchmarks()
    benchmarks.add("ProcessBench", prompts_of(grm_data / "eval" / "processbench_partial.jsonl.gz"))
    items = list(items_of(str(grm_data / "train" / "prmbench_pairs.jsonl.gz"), Report()))
    kept, removed = decontaminate(items, benchmarks)
    exact = {item.request.query[-1]["content"] for item, hit in removed if hit.kind == "exact"}
    assert len(kept) + len(removed) == len(items)
    assert len(exact) >= 70
    assert decontaminate(kept, benchmarks)[1] == []


# ---------------------------------------------------------------------- licences


def test_only_known_licences_pass() -> None:
    check_licences([item("q"), item("q", "Apache-2.0"), item("q", "MIT")])
    with pytest.raises(InvalidInput, match=r"'cc-by-4.0' \(2 rows of made up\).*'none stated' \(1 rows"):
        check_licences([item("q", "cc-by-4.0"), item("p", "cc-by-4.0"), item("q", "none stated"), item("q")])


def test_a_licence_is_allowed_by_name_only() -> None:
    check_licences([item("q", "CC-BY-4.0")], allow=["cc-by-4.0"])
    with pytest.raises(InvalidInput, match="none stated"):
        check_licences([item("q", "none stated")], allow=["cc-by-4.0"])
    with pytest.raises(InvalidInput, match="not verified"):
        check_licences([item("q", "mit upstream, not verified")])


# ---------------------------------------------------------------------- difficulty


def judged_by(scores: dict[str, list[tuple[int, int]]], folder: Path, items: list[Preference]) -> None:
    """A store in which sample j of the query's judgement gives these scores to x and y."""
    with Store(folder, settings()) as store:

        def engine(prompts):  # type: ignore[no-untyped-def]
            for index, prompt in enumerate(prompts):
                asked = next(query for query in scores if query in prompt.messages[-1]["content"])
                said = scores[asked][prompt.sample]
                yield index, Completion(f"Scores: \\boxed{{{said[prompt.order[0]]}, {said[prompt.order[1]]}}}")

        def requests():  # type: ignore[no-untyped-def]
            for one in items:
                store.register(one.request)
                yield one.request

        list(score(requests(), store.recording(engine), CONFIG.override(k=4)))


def test_what_the_reference_always_gets_right_goes_out(tmp_path: Path) -> None:
    scores = {
        "easy?": [(9, 1), (9, 8), (2, 1), (1, 9)],
        "tied?": [(9, 1), (9, 9), (2, 1), (9, 1)],
        "hard?": [(1, 9), (1, 9), (1, 9), (9, 1)],
    }
    items = [item(query) for query in scores]
    judged_by(scores, tmp_path, items)
    swapped = [Preference(Request(one.request.query, ["y", "x"]), 1, None, "s", "mit", "b") for one in items]
    for asked in (items, swapped):  # the store has its own order of the responses
        assert solved(tmp_path, asked) == {items[0].item}
        assert without(asked, solved(tmp_path, asked)) == asked[1:]
    assert solved(tmp_path, items, samples=4) == set()
    assert solved(tmp_path, items, samples=5) == set()
    assert solved(tmp_path, [*items, item("unseen?")], samples=1) == {items[0].item, items[1].item}
    with pytest.raises(InvalidInput, match="samples: 0"):
        solved(tmp_path, items, samples=0)
