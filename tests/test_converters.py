"""Converters: each format's rows become the same items, and what is wrong is named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_grm.data.answers import matches
from modeling_grm.data.converters import FORMATS, convert, detect
from modeling_grm.data.preference import Preference, Report
from modeling_grm.data.sources import SOURCES, build, items_of, load_rows, with_answers
from modeling_grm.types_grm import InvalidInput

USER = {"role": "user", "content": "2+2?"}
ROWS: dict[str, dict[str, Any]] = {
    "schema": {"conversation": [USER], "responses": ["4", "5"], "best": 0},
    "schema-query": {"query": "2+2?", "responses": ["4", "5"], "labels": [1, 0]},
    "prompt-chosen-rejected": {"prompt": "2+2?", "chosen": "4", "rejected": "5"},
    "messages-pair": {
        "chosen": [USER, {"role": "assistant", "content": "4"}],
        "rejected": [USER, {"role": "assistant", "content": "5"}],
    },
    "transcript-pair": {
        "chosen": "\n\nHuman: 2+2?\n\nAssistant: 4",
        "rejected": "\n\nHuman: 2+2?\n\nAssistant: 5",
    },
    "strength": {"prompt": "2+2?", "response_1": "4", "response_2": "5", "preference_strength": -2},
    "numbered": {"instruction": "2+2?", "output_1": "4", "output_2": "5", "label": 1},
    "scored": {"prompt": "2+2?", "responses": ["4", "5"], "scores": [9, 2.5]},
    "ultrafeedback": {
        "instruction": "2+2?",
        "completions": [
            {"response": "4", "fine-grained_score": 5.0, "overall_score": 8.0},
            {"response": "5", "fine-grained_score": 1.25, "overall_score": 10.0},
        ],
    },
    "ranked": {"prompt": "2+2?", "responses": ["4", "5"], "ranks": [1, 2]},
    "ranked-list": {"prompt": "2+2?", "ranked": ["4", "5"]},
    "ranked-answers": {
        "prompt": "\n\nHuman: 2+2?\n\nAssistant: ",
        "answers": [{"answer": "5", "rank": 2.0}, {"answer": "4", "rank": 1.0}],
    },
    "verifiable": {"problem": "2+2?", "solution": "It is $\\boxed{4}$.", "responses": ["4", "5"]},
}


def converted(rows: list[dict[str, Any]], **given: Any) -> tuple[list[Preference], Report]:
    report = Report()
    return list(convert(rows, report, **given)), report


def test_every_format_has_a_row_here() -> None:
    assert set(ROWS) | {"single"} == set(FORMATS)


@pytest.mark.parametrize("name", ROWS)
def test_each_format_is_found_and_read(name: str) -> None:
    assert detect(ROWS[name]) == name
    (item,), report = converted([ROWS[name]], source="made up", licence="mit")
    assert item.request.query == (USER,)
    assert sorted(item.request.responses) == ["4", "5"]
    assert item.best is not None
    assert item.request.responses[item.best] == "4"
    assert (item.source, item.licence, item.id) == ("made up", "mit", "made up-0")
    assert report.kept == {"made up": 1}


def test_a_prompt_in_any_spelling_is_the_same_item() -> None:
    whole = ROWS["messages-pair"]
    spellings = [
        {"prompt": [USER], "chosen": "4", "rejected": "5"},
        {"prompt": [USER], "chosen": whole["chosen"][-1:], "rejected": whole["rejected"][-1:]},
        {"prompt": "2+2?", **whole},
        whole,
        ROWS["transcript-pair"],
    ]
    assert len({converted([row])[0][0].item for row in spellings}) == 1


def test_a_single_answer_has_its_label() -> None:
    (right, wrong), _ = converted(
        [{"prompt": "2+2?", "completion": c, "label": ok} for c, ok in (("4", True), ("5", False))]
    )
    assert (right.label, wrong.label, right.best) == (1.0, 0.0, None)


def test_a_conversation_goes_up_to_the_last_answer() -> None:
    text = "\n\nHuman: Hi\n\nAssistant: Hello\nthere\n\nHuman: 2+2?\n\nAssistant:"
    (item,), _ = converted([{"chosen": text + " 4", "rejected": text + " 5"}])
    assert [turn["content"] for turn in item.request.query] == ["Hi", "Hello\nthere", "2+2?"]


def test_helpsteer_prompts_have_their_turns() -> None:
    prompt = "Hi\n<extra_id_1>Assistant\nHello\n<extra_id_1>User\n2+2?"
    (item,), _ = converted([ROWS["strength"] | {"prompt": prompt}])
    assert [turn["role"] for turn in item.request.query] == ["user", "assistant", "user"]
    assert item.labels == (2.0, 0.0)


UNUSABLE = [
    ("strength", {"preference_strength": 0}, "no single best"),
    ("scored", {"scores": [3, 3]}, "no single best"),
    ("scored", {"scores": [None, 3]}, "none that is a number"),
    ("scored", {"scores": [3]}, "unusable: labels"),
    ("ranked", {"ranks": [1, 1]}, "no single best"),
    ("numbered", {"label": 0}, "neither output 1 nor 2"),
    ("prompt-chosen-rejected", {"rejected": "4"}, "twice"),
    ("prompt-chosen-rejected", {"prompt": " "}, "unusable: query"),
    ("prompt-chosen-rejected", {"chosen": None}, "unusable: messages"),
    ("messages-pair", {"rejected": [USER | {"content": "3+3?"}, {"role": "assistant", "content": "5"}]}, "differ"),
    ("messages-pair", {"rejected": [USER, USER]}, "unusable: response"),
    ("transcript-pair", {"chosen": "4"}, "unusable: transcript"),
    ("transcript-pair", {"rejected": "\n\nHuman: 3?\n\nAssistant: 5"}, "differ"),
    ("schema", {"best": None}, "no single best"),
    ("schema", {"best": 7}, "unusable: best"),
    ("ultrafeedback", {"completions": []}, "unusable: responses"),
    ("verifiable", {"solution": "no answer here"}, "unusable: reference"),
    ("verifiable", {"responses": ["4", "four: \\boxed{4}"]}, "no single best"),
]


@pytest.mark.parametrize(("name", "change", "reason"), UNUSABLE)
def test_what_cannot_be_an_item_is_dropped_and_counted(name: str, change: dict[str, Any], reason: str) -> None:
    items, report = converted([ROWS[name], ROWS[name] | change], source="made up", format=name)
    assert len(items) == 1
    assert report.kept.total() == 1
    ((_, found),) = report.dropped
    assert reason in found


def test_too_many_responses_are_named() -> None:
    row = {"prompt": "q", "responses": [str(at) for at in range(17)], "scores": list(range(17))}
    items, report = converted([row])
    assert not items
    assert report.dropped == {("none stated", "unusable: responses"): 1}


def test_unknown_columns_are_named() -> None:
    with pytest.raises(InvalidInput, match=r"\['bad', 'good'\].*chosen, rejected"):
        converted([{"good": "a", "bad": "b"}])
    with pytest.raises(InvalidInput, match="needs prompt, rejected; the rows have"):
        converted([{"chosen": "a"}], format="prompt-chosen-rejected")
    with pytest.raises(InvalidInput, match="format: 'pairs' is unknown"):
        converted([{"chosen": "a"}], format="pairs")


def test_no_rows_are_no_items() -> None:
    assert converted([])[0] == []


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=6), min_size=2, max_size=6, unique=True))
def test_the_best_keeps_its_text_wherever_it_is_put(ranked: list[str]) -> None:
    (item,), _ = converted([{"prompt": "q", "ranked": ranked}])
    assert sorted(item.request.responses) == sorted(ranked)
    assert item.labels is not None
    in_order = sorted(zip(item.labels, item.request.responses, strict=True), reverse=True)
    assert [text for _, text in in_order] == ranked


def test_the_place_tells_nothing() -> None:
    rows = [{"prompt": f"{at}?", "chosen": "yes", "rejected": "no"} for at in range(400)]
    first = sum(item.best == 0 for item in converted(rows)[0])
    assert 150 < first < 250


# ---------------------------------------------------------------------- the paper's sources

MADE_UP: dict[str, list[dict[str, Any]]] = {  # columns as on the datasets' cards; rows made up
    "ultrafeedback": [
        {"source": "sharegpt", "models": ["a", "b"], "correct_answers": [], "incorrect_answers": [],
         **ROWS["ultrafeedback"]},
    ],
    "offsetbias": [ROWS["numbered"], ROWS["numbered"] | {"label": 2}],
    "skywork": [ROWS["messages-pair"] | {"source": "magpie"}],
    "helpsteer2": [
        ROWS["strength"] | {"split": "train", "preference_statement": "@Response 1 is right",
                            "preference_elaboration": ""},
        ROWS["strength"] | {"split": "validation", "preference_statement": "", "preference_elaboration": ""},
        ROWS["strength"] | {"split": "train", "preference_strength": 0, "preference_statement": "",
                            "preference_elaboration": ""},
    ],
    "math": [ROWS["verifiable"] | {"level": "Level 1", "type": "Algebra"}],
}  # fmt: skip


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", SOURCES)
def test_each_source_is_built_from_files_of_its_columns(name: str, tmp_path: Path) -> None:
    folder = written(tmp_path / (SOURCES[name].data_dir or "."), MADE_UP[name])
    report = Report()
    items = list(build(name, report, path=tmp_path))
    assert folder.exists()
    assert items[0].licence == SOURCES[name].licence
    assert items[0].source == SOURCES[name].hub_id
    assert items[0].best is not None
    assert items[0].request.responses[items[0].best] == "4"


def test_helpsteer_leaves_validation_and_ties(tmp_path: Path) -> None:
    written(tmp_path / "preference", MADE_UP["helpsteer2"])
    report = Report()
    assert len(list(build("helpsteer2", report, path=tmp_path))) == 1
    assert report.dropped.total() == 1


def test_a_source_says_what_it_lacks(tmp_path: Path) -> None:
    written(tmp_path, [{"problem": "2+2?", "solution": "$4$", "level": "Level 1", "type": "Algebra"}])
    with pytest.raises(InvalidInput, match="needs responses"):
        list(build("math", Report(), path=tmp_path))
    with pytest.raises(InvalidInput, match="is unknown; known are ultrafeedback"):
        build("mystery", Report())


def test_a_dataset_that_cannot_be_reached_is_named() -> None:
    with pytest.raises(InvalidInput, match="'no-such/dataset' cannot be read"):
        list(load_rows("no-such/dataset"))


def test_math_problems_get_answers() -> None:
    problems = [{"problem": "2+2?", "solution": "$\\boxed{4}$"}, {"problem": "3+3?", "solution": "$\\boxed{6}$"}]
    answers = {"2+2?": ["It is \\boxed{4}.", "5"]}
    (several,), _ = converted(list(with_answers(problems, answers)))
    assert several.labels == (1.0, 0.0)
    singles, _ = converted(list(with_answers(problems, answers, single=True)))
    assert [single.label for single in singles] == [1.0, 0.0]
    assert [single.id for single in singles] == ["0-0", "0-1"]


@pytest.mark.parametrize(
    ("reference", "answer", "same"),
    [
        (r"so $\boxed{\frac{1}{2}}$.", "The answer is 0.5", True),
        (r"$\boxed{\frac{1}{2}}$", r"thus $\boxed{\frac{2}{4}}$", True),
        (r"$\boxed{4}$", "We get 2+2 = 4, and then add one: $\\boxed{5}$", False),
        (r"$\boxed{4}$", "I like trains", False),
    ],
)
def test_answers_are_compared_as_mathematics(reference: str, answer: str, same: bool) -> None:
    assert matches(reference, answer) is same


# ---------------------------------------------------------------------- files and real rows


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_items_of_a_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"pairs{suffix}"
    if suffix == ".parquet":
        from datasets import Dataset

        Dataset.from_list([ROWS["scored"]]).to_parquet(path)
    else:
        line = json.dumps(ROWS["scored"]).encode()
        path.write_bytes(gzip.compress(line) if suffix.endswith("gz") else line)
    (item,) = items_of(str(path), Report())
    assert (item.source, item.licence) == ("pairs", "none stated")


def test_items_of_a_folder_and_a_limit(tmp_path: Path) -> None:
    written(tmp_path, [ROWS["scored"]] * 3)
    assert len(list(items_of(str(tmp_path), Report(), limit=2))) == 2


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "q"\n', encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"rows.jsonl:1: no JSON"):
        list(items_of(str(path), Report()))
    with pytest.raises(InvalidInput, match="there is no such file"):
        list(items_of(str(tmp_path / "nothing.jsonl"), Report()))


REAL = {  # kept and dropped rows of the training files
    "hh_rlhf_harmless_test": 2307,
    "prmbench_pairs": 6043,
    "ultrafeedback_sample": 1200,
    "llamafactory_dpo_demo": 600,
    "qa_feedback_dev": 500,
    "gsm8k_problems": 7473,
    "autoj_single_train_critiques": 960,
}


@pytest.mark.parametrize("name", REAL)
def test_real_rows_are_kept_or_counted(name: str, grm_data: Path) -> None:
    report = Report()
    kept = list(items_of(str(grm_data / "train" / f"{name}.jsonl.gz"), report))
    assert len(kept) + report.dropped.total() == REAL[name]
    assert len(kept) > 0.7 * REAL[name], report.to_dict()
    assert all(reason[1].startswith(("best", "labels")) for reason in report.dropped), report.to_dict()
