"""The shell's way in: bad input before a model is loaded, bad rows beside good ones, tables and JSON lines."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from replies import critique

from modeling_grm import cli
from modeling_grm.types_grm import Request, RewardResult
from modeling_grm.voting_grm import vote

ROW = {"id": "sum", "query": "What is 2+2?", "responses": ["4", "I like trains"], "best": 0}


class Judge:
    """Scores by length: a stand-in for the pipeline whose weights these tests have no use for."""

    def __init__(self, too_long: str = "") -> None:
        self.too_long = too_long
        self.settings: dict[str, Any] = {}

    def check(self, request: Request, **settings: Any) -> None:
        if self.too_long and self.too_long in request.responses[0]:
            raise cli.InvalidInput("responses: 9,000 tokens do not fit")

    def __call__(self, requests: Iterator[Request], **settings: Any) -> Iterator[dict[str, Any]]:
        self.settings = settings
        return (self._judged(request).to_dict(samples=True) | {"model": "by-length"} for request in requests)

    def _judged(self, request: Request) -> RewardResult:
        scores = [min(10, 1 + len(text)) for text in request.responses]
        return vote([critique(scores) for _ in range(2)], request.n)


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Judge:
    stand_in = Judge()
    monkeypatch.setattr(cli, "load", lambda *_, **__: stand_in)
    return stand_in


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test if a model is asked for."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(cli, "load", refuse)


def write(path: Path, *rows: Any) -> str:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["score"], "--query"),
        (["score", "nothing.jsonl"], "nothing.jsonl"),
        (["score", "rows.csv"], "unknown kind"),
        (["score", "--query", "Q"], "responses"),
        (["score", "--query", " ", "--response", "A"], "query"),
        (["score", "--query", "Q", "--response", "A", "--k", "0"], "k: 0"),
        (["score", "--query", "Q", "--response", "A", "--temperature", "-1"], "temperature: -1"),
        (["score", "--query", "Q", "--response", "A", "--top-p", "2"], "top_p: 2"),
        (["score", "--query", "Q", "--response", "A", "--max-new-tokens", "0"], "max_new_tokens: 0"),
        (["score", "--query", "Q", "--response", "A", "--template", "nope"], "nope"),
        (["score", "--query", "Q", "--response", "A", "--template", "llm-as-a-judge"], "asks for no scores"),
        (["score", "--query", "Q", "--response", "A", "--truncation", "end"], "truncation: 'end'"),
        (["score", "--query", "Q", "--response", "A", "--principles", " "], "principles"),
        (["score", *(w for _ in range(17) for w in ("--response", "A")), "--query", "Q"], "at most 16"),
        (["template", "show", "nope"], "nope"),
    ],
)
def test_bad_input_ends_with_2_and_names_the_field_before_a_model_is_loaded(
    grm: Any, no_model: None, words: list[str], named: str
) -> None:
    code, out, err = grm(*words)
    assert code == 2
    assert named in " ".join(err.split())
    assert out == ""


def test_a_folder_that_is_no_model_is_refused(grm: Any, tmp_path: Path) -> None:
    code, _, err = grm("score", "--query", "Q", "--response", "A", "--model", str(tmp_path))
    assert code == 2
    assert "model:" in err


def test_json_lines_keep_the_file_order_and_name_bad_rows(grm: Any, judge: Judge, tmp_path: Path) -> None:
    judge.too_long = "LONG"
    file = write(
        tmp_path / "rows.jsonl", "{oops", ROW, {"id": "x"}, {**ROW, "responses": ["LONG"]}, {**ROW, "id": "last"}
    )
    code, out, err = grm("score", file, "--json", "--k", "2")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [line["id"] for line in lines] == [None, "sum", "x", "sum", "last"]
    assert [line["place"].rsplit(":", 1)[1] for line in lines] == ["1", "2", "3", "4", "5"]
    assert ["error" in line for line in lines] == [True, False, True, True, False]
    assert lines[1]["scores"] == [2.0, 10.0]
    assert lines[1]["label"] == 0
    assert "samples" not in lines[1]
    assert "rows.jsonl:1" in err
    assert "3 bad rows" in " ".join(err.split())
    assert judge.settings["k"] == 2


def test_only_bad_rows_are_all_reported(grm: Any, judge: Judge, tmp_path: Path) -> None:
    code, out, _ = grm("score", write(tmp_path / "rows.jsonl", "{oops", "[]"), "--json")
    assert code == 1
    assert len(out.splitlines()) == 2


def test_samples_and_out_file(grm: Any, judge: Judge, tmp_path: Path) -> None:
    out_file = tmp_path / "scored.jsonl"
    file = write(tmp_path / "rows.jsonl", ROW)
    code, out, err = grm("score", file, "--json", "--samples", "--out", str(out_file))
    assert code == 0
    assert json.loads(out) == json.loads(out_file.read_text())
    assert len(json.loads(out)["samples"]) == 2
    assert "the labelled best won in 0 of 1" in " ".join(err.split())


def test_table_has_scores_the_best_and_a_critique_in_the_callers_numbers(grm: Any, judge: Judge) -> None:
    code, out, _ = grm("score", "--query", "What is 2+2?", "--response", "4", "--response", "I like trains")
    assert code == 0
    assert "best: response 2; 2 of 2 judgements readable" in out
    assert "10.00" in out
    assert "Response 2 is short" in out  # shown first, the caller's second


def test_hostile_text_cannot_steer_the_terminal(grm: Any, judge: Judge) -> None:
    code, out, _ = grm(
        "score", "--query", "\x1b[2Jhi [bold]", "--response", "a\x1b]0;evil\x07b [/bold]", "--response", "b"
    )
    assert code == 0
    assert "\x1b]0;" not in out
    assert "\x1b[2J" not in out
    assert "[bold]" in out


def test_limit_and_gzip(grm: Any, judge: Judge, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "rows.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({**ROW, "id": str(at)}) + "\n" for at in range(5))
    code, out, _ = grm("score", str(tmp_path / "rows.jsonl.gz"), "--limit", "2", "--json")
    assert code == 0
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["0", "1"]


def test_principles_fill_the_rows_that_have_none(monkeypatch: pytest.MonkeyPatch, grm: Any, tmp_path: Path) -> None:
    seen: list[Request] = []

    class Watching(Judge):
        def check(self, request: Request, **settings: Any) -> None:
            seen.append(request)

    monkeypatch.setattr(cli, "load", lambda *_, **__: Watching())
    file = write(tmp_path / "rows.jsonl", ROW, {**ROW, "principles": "own"})
    grm("score", file, "--json", "--principles", "be brief")
    assert [request.principles for request in seen] == ["be brief", "own"]


def test_templates(grm: Any) -> None:
    code, out, _ = grm("template", "list", "--json")
    names = [json.loads(line)["name"] for line in out.splitlines()]
    assert code == 0
    ours = {"compact", "compact-closed"}
    assert set(names) == ours | {
        "deepseek-grm",
        "deepseek-grm-single",
        "deepseek-grm-card",
        "llm-as-a-judge",
        "meta-rm",
    }
    code, out, _ = grm("template", "show", "deepseek-grm")
    assert code == 0
    assert "{conversation}" in out
    assert "You are a skilled little expert" in out


def test_help_teaches(grm: Any) -> None:
    code, out, _ = grm("score", "--help")
    assert code == 0
    for word in ("--k", "--json", "--out", "--truncation", "JSON lines"):
        assert word in out


@pytest.mark.slow
def test_the_embedded_judge_from_the_shell() -> None:
    command = [sys.executable, "-m", "modeling_grm.cli", "score", "recipes/examples/demo.jsonl", "--k", "4", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=Path(__file__).parent.parent)
    assert ended.returncode == 0, ended.stderr
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(lines) == 6
    readable = sum(line["n_valid"] for line in lines)
    assert readable >= 0.8 * 4 * 6
    assert all("SmolLM2-135M-Instruct" in line["base"] for line in lines)
