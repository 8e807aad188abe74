"""`grm score --store`, `--k auto`, `grm revote` and `grm calibrate`, from the shell's side, on a scripted judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benched import GOOD, OTHER, Counting, scored
from shell import Grm
from transformers import pipeline

from modeling_grm import cli
from modeling_grm.backends.fake import Fake


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()
    task: Any = "reward-scoring"
    monkeypatch.setattr(cli, "load", lambda *_, **__: pipeline(task, model=Fake(counting)))
    return counting


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """40 labelled pairs; the good one stands first in every other."""
    path = tmp_path / "rows.jsonl"
    records = []
    for at in range(40):
        texts = [f"a {GOOD} answer {at}", f"a {OTHER} answer {at}"]
        records.append({"id": f"r{at}", "query": f"q{at}", "responses": texts[:: 1 - 2 * (at % 2)], "best": at % 2})
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.fixture
def store(tmp_path: Path, rows: Path, judge: Counting, grm: Grm) -> Path:
    folder = tmp_path / "store"
    code, _, err = grm("score", rows, "--k", "16", "--store", folder, "--json")
    assert code == 0
    assert "0 judgements were there, 640 made" in err
    return folder


def test_the_second_time_nothing_is_made(store: Path, rows: Path, judge: Counting, grm: Grm) -> None:
    before = judge.asked
    first = grm("score", rows, "--k", "16", "--json")
    code, out, err = grm("score", rows, "--k", "16", "--store", store, "--json")
    assert (code, out) == (0, first[1])
    assert judge.asked == before + 640  # by the run without a store
    assert "640 judgements were there, 0 made" in err


def test_a_larger_k_adds(store: Path, rows: Path, grm: Grm) -> None:
    assert "640 judgements were there, 80 made" in grm("score", rows, "--k", "18", "--store", store, "--json")[2]


def test_other_settings_are_refused_unless_mixed(store: Path, rows: Path, grm: Grm) -> None:
    asked = ("score", rows, "--k", "2", "--temperature", "0.9", "--store", store, "--json")
    code, _, err = grm(*asked)
    assert code == 2
    assert "temperature: 0.5 in the store, 0.9 now" in err
    assert grm(*asked, "--mix")[0] == 0
    code, _, err = grm("revote", store)
    assert code == 2
    assert "choose one with --settings" in err


def test_a_store_without_texts(tmp_path: Path, rows: Path, judge: Counting, grm: Grm) -> None:
    folder = tmp_path / "bare"
    assert grm("score", rows, "--k", "4", "--store", folder, "--no-text", "--json")[0] == 0
    whole = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"answer 7" not in whole
    asked = judge.asked
    assert "160 judgements were there, 0 made" in grm("score", rows, "--k", "4", "--store", folder, "--json")[2]
    assert judge.asked == asked
    code, _, err = grm("score", rows, "--k", "4", "--no-text")
    assert code == 2
    assert "text: belongs to --store" in err


def test_revote_gives_curves(store: Path, tmp_path: Path, grm: Grm) -> None:
    plot = tmp_path / "curve.svg"
    words = ("--k", "1,2,4,8,16", "--rule", "sum,majority,random_topk", "--k-meta", "1,2", "--plot", plot, "--bias")
    code, out, _ = grm("revote", store, *words, "--json")
    assert code == 0
    said = json.loads(out)
    curves = {point["curve"] for point in said["points"]}
    assert len(curves) == 4
    sums = [point for point in said["points"] if point["rule"] == "sum"]
    assert [point["k"] for point in sums] == [1, 2, 4, 8, 16]
    assert sums[0]["accuracy"] < sums[-1]["accuracy"]
    assert all(point["low"] <= point["accuracy"] <= point["high"] for point in said["points"])
    assert said["position_bias"]["n"]["2"]["items"] == 40
    assert plot.read_text(encoding="utf-8").lstrip().startswith("<?xml")
    code, out, _ = grm("revote", store, "--k", "1,16", "--bias")
    assert code == 0
    assert "winner flips with the order" in out
    assert "40 items" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--k", "32"), "32"),
        (("--k", "x"), "k: 'x' is not usable"),
        (("--k", "0"), "k: '0' is not usable"),
        (("--rule", "median"), "median"),
        (("--rule", "expected"), "expected"),
        (("--ties", "coin"), "coin"),
        (("--settings", "f00"), "settings: 'f00' is not in"),
    ],
)
def test_what_cannot_be_revoted_is_refused(store: Path, grm: Grm, words: tuple[str, ...], said: str) -> None:
    code, _, err = grm("revote", store, *words)
    assert code == 2
    assert said in err


def test_a_folder_that_is_no_store(tmp_path: Path, grm: Grm) -> None:
    for words in (("revote", tmp_path), ("calibrate", tmp_path), ("revote", tmp_path / "none")):
        code, _, err = grm(*words)
        assert code == 2
        assert str(tmp_path) in err.replace(" ", "")


def test_calibrate_writes_what_auto_reads(store: Path, tmp_path: Path, rows: Path, grm: Grm) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"model_type": "llama", "grm": {"k": 8}}), encoding="utf-8")
    code, out, _ = grm("calibrate", store, "--config", config, "--delta", "0.1", "--json")
    assert code == 0
    report = json.loads(out)["report"]
    assert report["stopping"]["items"] == 40
    assert report["confidence"]["items"] == 40
    grm_settings = json.loads(config.read_text(encoding="utf-8"))["grm"]
    assert (grm_settings["k"], grm_settings["k_max"], grm_settings["delta"]) == (8, 16, 0.1)
    task: Any = "reward-scoring"
    known = type("Known", (), {"grm": grm_settings})()
    pipe = pipeline(task, model=Fake(scored, config=known))
    result = pipe("q3", [f"a {OTHER} answer {3}", f"a {GOOD} answer {3}"], k="auto")
    assert result["stopped"] in ("calibrated", "settled", "k_max")
    assert result["k"] <= 16
    assert 0 < result["confidence"]["probability"] < 1
    unsure = pipe("q3", [f"a {OTHER} answer {3}", f"a {GOOD} answer {3}"], k=2, min_confidence=1.0)
    assert unsure["scores"] is None
    assert unsure["abstained"].startswith("probability 0.")


def test_labels_come_from_a_file_in_any_order(store: Path, tmp_path: Path, rows: Path, grm: Grm) -> None:
    swapped = tmp_path / "labels.jsonl"
    records = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    for record in records:
        record["responses"].reverse()
        record["best"] = 1 - record["best"]
    swapped.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    own, other = (grm("calibrate", store, *more, "--json") for more in ((), (swapped,)))
    assert own == other
    for harm, said in (({"query": "unknown"}, "is not in"), ({"best": 2}, "best 2 is not the index")):
        swapped.write_text(json.dumps(records[0] | harm) + "\n", encoding="utf-8")
        code, _, err = grm("calibrate", store, swapped)
        assert code == 2
        assert said in err


def test_auto_stops_early_and_keeps_the_winner(rows: Path, judge: Counting, grm: Grm) -> None:
    whole = [json.loads(line) for line in grm("score", rows, "--k", "64", "--json")[1].splitlines()]
    asked = judge.asked
    code, out, _ = grm("score", rows, "--k", "auto", "--k-max", "64", "--json")
    assert code == 0
    early = [json.loads(line) for line in out.splitlines()]
    assert [one["id"] for one in early] == [one["id"] for one in whole]
    assert judge.asked - asked == sum(one["k"] for one in early) < 0.7 * asked
    assert {one["stopped"] for one in early} <= {"certain", "settled", "k_max"}
    assert sum(one["best"] != full["best"] for one, full in zip(early, whole, strict=True)) <= 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--k", "many"), "k: 'many' is not usable"),
        (("--k", "auto", "--delta", "1"), "delta: 1.0 is not usable"),
        (("--k", "auto", "--k-max", "0"), "k_max: 0 is not usable"),
        (("--rule", "median"), "median"),
        (("--k", "auto", "--rule", "majority"), '"auto" is safe for the sum'),
        (("--rule", "meta_topk"), "rule: 'meta_topk' has no meta RM to ask"),
        (("--min-confidence", "0.5"), "min_confidence: 0.5 is not usable"),
        (("--mix",), "mix: belongs to --store"),
    ],
)
def test_settings_that_do_not_go_together(rows: Path, judge: Counting, grm: Grm, words: Any, said: str) -> None:
    code, _, err = grm("score", rows, *words)
    assert code == 2
    assert said in err
    assert judge.asked == 0
