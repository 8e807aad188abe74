"""bench.py and judging.py: `grm bench` from the shell's side, on a scripted judge and a benchmark in a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from benched import EACH, GOOD, SUBSETS, Counting, verdict, write_llmbar
from shell import Grm
from tiny import tiny_adapter
from tiny_judge import byte_tokenizer, random_llama, save_tiny
from transformers import pipeline

from modeling_grm import baselines, bench, cli, judging, plots
from modeling_grm.backends.fake import Fake
from modeling_grm.benchmarks import load_items
from modeling_grm.bootstrap import wilson
from modeling_grm.pipeline_grm import RewardScoringPipeline
from modeling_grm.reports import Ballot, answered, load_stored
from modeling_grm.trajectories import content_hash
from modeling_grm.types_grm import Completion, Critique, InvalidInput, Request

ITEMS = EACH * len(SUBSETS)


def use(monkeypatch: pytest.MonkeyPatch, judge: Counting, **settings: Any) -> Counting:
    task: Any = "reward-scoring"
    pipe = pipeline(task, model=Fake(judge))
    pipe.grm = pipe.grm.override(**settings)
    monkeypatch.setattr(bench, "load", lambda *_, **__: pipe)
    return judge


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Counting:
    return use(monkeypatch, Counting())


def refuse(*_: Any, **__: Any) -> Any:
    raise AssertionError("a model was loaded")


@pytest.fixture
def no_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "load", refuse)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_llmbar(tmp_path / "data")


@pytest.fixture
def asked(data: Path, tmp_path: Path) -> list[str | Path]:
    return ["bench", "llmbar", "--data", data, "--k", "4", "--out", tmp_path / "report", "--no-plots"]


def report_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return found


def votes(store: Path, data: Path) -> dict[str, Any]:
    items = load_items("llmbar", data=data).items
    return {one.item.id: one.scores for one in answered(items, load_stored(store), Ballot(4)).judged}


def test_a_run_writes_its_report(asked: list[str | Path], tmp_path: Path, judge: Counting, grm: Grm) -> None:
    code, out, err = grm(*asked[:-1])
    assert code == 0
    assert judge.asked == 4 * ITEMS
    assert "llmbar (partial)" in out
    assert f"0 judgements were there, {4 * ITEMS} made" in err
    folder = tmp_path / "report"
    found = report_of(folder)["benchmarks"]["llmbar"]
    assert found["partial"]
    assert found["rows"]["items"] == ITEMS
    assert 0.5 < found["headline"]["low"] <= found["headline"]["value"] <= found["headline"]["high"] <= 1
    assert set(found["subsets"]) == set(SUBSETS)
    assert [point["k"] for point in found["curve"]] == [1, 2, 4]
    assert found["tokens"]["written"]["mean"] > 400
    assert set(found["heuristics"]) == {"shortest", "longest", "first"}
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert text.splitlines()[0] == "# fake: llmbar (partial)"
    drawn = {path.name for path in folder.glob("*.png")}
    assert drawn == {f"llmbar-{kind}.png" for kind in ("accuracy", "subsets", "position", "scores", "risk", "tokens")}


def test_the_curve_ends_where_the_vote_stands(
    asked: list[str | Path], tmp_path: Path, judge: Counting, grm: Grm
) -> None:
    """LLMBar's own figure counts a tie half, as the curve does; an abstention would part them, and there is none."""
    grm(*asked, "--k", "8", "--quorum", "0.1")
    found = report_of(tmp_path / "report")["benchmarks"]["llmbar"]
    assert found["ours"]["coverage"]["value"] == 1
    assert found["headline"]["value"] == pytest.approx(found["curve"][-1]["accuracy"], abs=1e-6)
    assert found["headline"]["value"] == found["headline_by_k"][-1]["value"]


def test_a_second_run_makes_nothing_and_says_the_same(
    asked: list[str | Path], tmp_path: Path, judge: Counting, grm: Grm
) -> None:
    first = grm(*asked, "--json")
    second = grm(*asked, "--json")
    assert second[:2] == (0, first[1])
    assert judge.asked == 4 * ITEMS
    assert f"{4 * ITEMS} judgements were there, 0 made" in second[2]


def test_the_store_alone_gives_the_report(
    asked: list[str | Path], tmp_path: Path, judge: Counting, grm: Grm, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = grm(*asked, "--no-text", "--json")
    stored = b"".join(path.read_bytes() for path in (tmp_path / "report" / "store").rglob("*") if path.is_file())
    assert GOOD.encode() not in stored
    monkeypatch.setattr(bench, "load", refuse)
    assert grm(*asked, "--from-store", "--json")[:2] == (0, first[1])


def test_a_killed_run_goes_on(
    asked: list[str | Path], tmp_path: Path, grm: Grm, monkeypatch: pytest.MonkeyPatch, data: Path
) -> None:
    broken = use(monkeypatch, Counting(most=50))
    monkeypatch.setattr("sys.argv", ["grm", *map(str, asked)])
    with pytest.raises(RuntimeError, match="the power went"):
        cli.main()
    assert broken.asked == 50
    whole = use(monkeypatch, Counting())
    code, out, err = grm(*asked, "--json")
    assert code == 0
    assert whole.asked == 4 * ITEMS - 50
    assert "50 judgements were there" in err
    use(monkeypatch, Counting())
    assert grm(*asked, "--store", tmp_path / "another", "--json")[1] == out


def test_order_and_absence_of_rows_change_no_other_item(tmp_path: Path, data: Path, judge: Counting, grm: Grm) -> None:
    fewer = write_llmbar(tmp_path / "fewer", keep=lambda at: at % 2 == 0, backwards=True)
    for folder, rows in (("all", data), ("some", fewer)):
        assert grm("bench", "llmbar", "--data", rows, "--k", 4, "--out", tmp_path / folder, "--no-plots")[0] == 0
    every, some = votes(tmp_path / "all" / "store", data), votes(tmp_path / "some" / "store", fewer)
    assert len(some) == ITEMS // 2
    assert some == {name: every[name] for name in some}


def test_a_part_of_the_items_is_a_part_of_the_votes(data: Path, tmp_path: Path, judge: Counting, grm: Grm) -> None:
    """A store made without a limit serves a smaller run; the other way round, what is missing is named."""
    grm("bench", "llmbar", "--data", data, "--k", 4, "--out", tmp_path / "all", "--no-plots")
    common = ("bench", "llmbar", "--data", data, "--store", tmp_path / "all" / "store", "--no-plots", "--from-store")
    code, out, _ = grm(*common, "--limit", "10", "--out", tmp_path / "ten", "--json")
    assert code == 0
    assert json.loads(out)["benchmarks"]["llmbar"]["rows"]["items"] == 10
    grm("bench", "llmbar", "--data", data, "--k", 4, "--limit", 10, "--out", tmp_path / "few", "--no-plots")
    code, _, err = grm("bench", "llmbar", "--data", data, "--from-store", "--out", tmp_path / "few")
    assert code == 2
    assert f"{ITEMS - 10} of {ITEMS} items are not in it; give the --limit" in err
    code, _, err = grm(*common, "--k", "8", "--out", tmp_path / "ten")
    assert code == 2
    assert f"{ITEMS} items have fewer than 8 samples" in err


def test_what_the_judge_refuses_is_counted(
    asked: list[str | Path], tmp_path: Path, judge: Counting, grm: Grm, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RewardScoringPipeline.check

    def check(self: Any, row: Any, **settings: Any) -> None:
        if "answer 3" in row.responses[0]:
            raise InvalidInput("prompt 9,001 tokens + 1,024 new > context 8,192; shorten the query")
        real(self, row, **settings)

    monkeypatch.setattr(RewardScoringPipeline, "check", check)
    code, out, err = grm(*asked, "--json")
    assert code == 0
    assert "prompt 9,001 tokens" in err
    found = json.loads(out)["benchmarks"]["llmbar"]
    assert found["refused"] == {"prompt N tokens + N new > context N": len(SUBSETS)}
    assert found["ours"]["coverage"]["value"] == pytest.approx(1 - 1 / EACH, abs=0.05)
    assert found["outcomes"]["refused"] == 4 * len(SUBSETS)
    assert grm(*asked, "--from-store", "--json")[1] == out


def test_several_benchmarks_share_a_store(data: Path, tmp_path: Path, judge: Counting, grm: Grm) -> None:
    row = {"chosen": GOOD, "rejected": "walrus", "subset": "hep-go"}
    rows = [{**row, "prompt": f"q{at}", "id": at} for at in range(5)]
    (data / "rewardbench.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    asked = ("bench", "rewardbench", "llmbar", "--data", data, "--k", 2, "--out", tmp_path / "r")
    code, out, _ = grm(*asked, "--no-plots", "--json")
    assert code == 0
    assert judge.asked == 2 * (ITEMS + 5)
    found = json.loads(out)["benchmarks"]
    assert list(found) == ["rewardbench", "llmbar"]
    assert found["rewardbench"]["rows"] == {"official": 2985, "items": 5, "dropped": {}}
    assert found["rewardbench"]["sections"]["Chat"]["value"] is None


def test_a_baseline_takes_the_same_way(
    asked: list[str | Path], tmp_path: Path, grm: Grm, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = use(monkeypatch, Counting(verdict))
    code, out, _ = grm(*asked, "--baseline", "verdict", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["judge"]["kind"] == "verdict"
    part = found["benchmarks"]["llmbar"]
    assert [point["k"] for point in part["curve"]] == [1, 2, 4]
    assert part["headline"]["value"] > 0.6
    assert grm(*asked, "--baseline", "verdict", "--json")[1] == out
    assert judge.asked == 4 * ITEMS


def test_verdicts_of_both_orders_are_counted_as_judgebench_does(
    tmp_path: Path, grm: Grm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A judge that names what stands first: each pair's decisions cancel out, and every pair is wrong."""
    use(monkeypatch, Counting(lambda _: Completion("Scores: \\boxed{1}")))
    row = {"source": "mmlu-pro-law", "question": "q", "response_A": "a", "response_B": "b", "label": "A>B"}
    rows = [{**row, "pair_id": str(at), "question": f"q{at}?"} for at in range(4)]
    (tmp_path / "judgebench-gpt.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    asked = ("bench", "judgebench", "--data", tmp_path, "--baseline", "verdict", "--out", tmp_path / "r", "--no-plots")
    code, _, err = grm(*asked, "--k", "3")
    assert code == 2
    assert "judgebench counts both; give an even --k" in err
    code, out, _ = grm(*asked, "--k", "4", "--json")
    assert code == 0
    found = json.loads(out)["benchmarks"]["judgebench"]
    assert [point["value"] for point in found["headline_by_k"]][1:] == [0, 0]
    assert found["headline"]["value"] == 0
    assert found["headline"]["high"] == pytest.approx(wilson(0, 4)[1], abs=1e-6)
    assert found["ours"]["strict"]["value"] == 0.5
    assert "both orders of each pair were judged" in (tmp_path / "r" / "report.md").read_text(encoding="utf-8")


class Trusting:
    """A meta RM that trusts judgements by how far apart their scores are."""

    name_or_path = "org/meta"
    config = None

    def __call__(self, pairs: Sequence[tuple[Request, Critique]]) -> list[float | None]:
        return [
            float(max(critique.scores) - min(critique.scores)) if critique.scores else None for _, critique in pairs
        ]


def test_a_meta_rm_guides_the_vote(
    asked: list[str | Path], grm: Grm, judge: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "check_meta", lambda *_: None)
    monkeypatch.setattr(judging, "load_rater", lambda *_, **__: Trusting())
    code, out, _ = grm(*asked, "--meta-model", "org/meta", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["judge"]["meta_model"] == "org/meta"
    part = found["benchmarks"]["llmbar"]
    assert part["vote"] == {"k": 4, "rule": "meta_topk", "k_meta": None, "quorum": 0.5}
    curves = {point["curve"]: point["accuracy"] for point in part["curve"] if point["k"] == 4}
    assert list(curves) == ["sum", "meta_topk", "meta_soft", "random_topk", "length_topk"]
    assert part["headline"]["value"] == pytest.approx(curves["meta_topk"], abs=0.02)
    monkeypatch.setattr(judging, "load_rater", None)
    assert grm(*asked, "--meta-model", "org/meta", "--from-store", "--json")[1] == out
    assert grm(*asked, "--from-store", "--json")[1] == out, "the only ratings there are guide the vote"
    plain = json.loads(grm(*asked, "--from-store", "--rule", "sum", "--json")[1])["benchmarks"]["llmbar"]
    assert plain["vote"]["rule"] == "sum"


def test_the_checkpoints_own_meta_rm_guides_the_vote_as_in_the_pipeline(
    asked: list[str | Path], grm: Grm, judge: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, judge, meta_rm="org/meta")
    loaded: list[str] = []
    code, _, said = grm(*asked)
    assert (code != 0, judge.asked) == (True, 0)
    assert "meta_model: 'org/meta' cannot be loaded" in said, "before anything is judged"
    monkeypatch.setattr(judging, "check_meta", lambda *_: None)
    monkeypatch.setattr(judging, "load_rater", lambda name, **_: loaded.append(name) or Trusting())
    code, _, said = grm(*asked, "--no-text")
    assert (code != 0, judge.asked) == (True, 0)
    assert "meta_model: 'org/meta' reads the judgements' texts, and none are kept" in said
    plain = json.loads(grm(*asked, "--rule", "sum", "--json")[1])
    assert (loaded, plain["benchmarks"]["llmbar"]["vote"]["rule"]) == ([], "sum")
    code, out, _ = grm(*asked, "--json")
    found = json.loads(out)
    assert (code, loaded) == (0, ["org/meta"])
    assert found["benchmarks"]["llmbar"]["vote"]["rule"] == "meta_topk"
    assert found["judge"]["meta_model"] == "org/meta"
    assert grm(*asked, "--from-store", "--json")[1] == out


def test_the_votes_rule_is_the_checkpoints_where_none_is_given(
    asked: list[str | Path], grm: Grm, judge: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "check_meta", lambda *_: None)
    monkeypatch.setattr(judging, "load_rater", lambda *_, **__: Trusting())
    use(monkeypatch, judge, meta_rm="org/meta", rule="meta_soft", k_meta=3)
    vote = json.loads(grm(*asked, "--json")[1])["benchmarks"]["llmbar"]["vote"]
    assert (vote["rule"], vote["k_meta"]) == ("meta_soft", 3)


def test_ratings_of_a_part_of_the_items_guide_no_vote(
    asked: list[str | Path], grm: Grm, judge: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "check_meta", lambda *_: None)
    monkeypatch.setattr(judging, "load_rater", lambda *_, **__: Trusting())
    assert grm(*asked, "--limit", "10", "--meta-model", "org/meta")[0] == 0
    for more in ([], ["--from-store"]):
        found = json.loads(grm(*asked, *more, "--json")[1])["benchmarks"]["llmbar"]
        assert (found["vote"]["rule"], found["rows"]["items"]) == ("sum", ITEMS)
        assert found["ours"]["coverage"]["value"] == 1
    part = json.loads(grm(*asked, "--limit", "10", "--from-store", "--json")[1])["benchmarks"]["llmbar"]
    assert part["vote"]["rule"] == "meta_topk"


SELF_RATING = {"template": "compact-closed", "meta_rm": "self"}


def tiny_asked(data: Path, tmp_path: Path, limit: int) -> list[str | Path]:
    """A real (random) judge, whose checkpoint says that it reads for itself."""
    judge = tmp_path / "judge"
    judge = judge if judge.is_dir() else save_tiny(judge, SELF_RATING)
    rows = ["bench", "llmbar", "--data", data, "--limit", str(limit), "--out", tmp_path / "report", "--no-plots"]
    return [*rows, "--model", judge, "--dtype", "float32", "--k", "2", "--max-new-tokens", "64", "--no-text", "--json"]


def test_a_run_rates_its_own_items_alone(data: Path, tmp_path: Path, grm: Grm) -> None:
    assert grm(*tiny_asked(data, tmp_path, 12), "--rule", "sum")[0] == 0
    code, out, said = grm(*tiny_asked(data, tmp_path, 4))
    assert code == 0, said
    assert json.loads(out)["benchmarks"]["llmbar"]["vote"]["rule"] == "meta_topk"
    part, whole = (tiny_asked(data, tmp_path, limit) for limit in (4, 12))
    rules = [json.loads(grm(*_stored(one))[1])["benchmarks"]["llmbar"]["vote"]["rule"] for one in (part, whole)]
    assert rules == ["meta_topk", "sum"]


def _stored(asked: list[str | Path]) -> list[str | Path]:
    """The same report without the model."""
    return [*(word for word in asked if word != "--no-text"), "--from-store"]


def test_a_judge_that_cannot_read_for_itself_is_refused_before_it_judges(data: Path, tmp_path: Path, grm: Grm) -> None:
    code, _, said = grm(*tiny_asked(data, tmp_path, 4), "--meta-model", "self", "--template", "compact")
    assert code != 0
    assert "meta_model: compact does not close a response with its number" in said
    assert not (tmp_path / "report").exists()


def test_an_adapters_report_names_it_and_it_reads_for_itself(data: Path, tmp_path: Path, grm: Grm) -> None:
    tiny_adapter(tmp_path / "judge", save_tiny(tmp_path / "base"), "CAUSAL_LM", 0)
    (tmp_path / "judge" / "grm.json").write_text(json.dumps(SELF_RATING))
    code, out, said = grm(*tiny_asked(data, tmp_path, 4))
    assert code == 0, said
    who, folder = json.loads(out)["judge"], tmp_path / "judge"
    assert (who["model"], who["revision"], who["settings"]["model"]) == ("judge", content_hash(folder), "base")
    assert who["meta_model"] == f"self@{content_hash(folder)}"
    assert grm(*_stored(tiny_asked(data, tmp_path, 4)))[1] == out


def test_a_run_without_a_readable_judgement_is_a_report_too(data: Path, tmp_path: Path, grm: Grm) -> None:
    judge, tokenizer = tmp_path / "judge", byte_tokenizer(lines=())
    mute = random_llama(len(tokenizer), 4096)
    mute.config.grm = SELF_RATING
    for part in (mute, tokenizer):
        part.save_pretrained(judge)
    code, out, said = grm(*tiny_asked(data, tmp_path, 4))
    assert code == 0, said
    assert json.loads(out)["benchmarks"]["llmbar"]["ours"]["coverage"]["value"] == 0


def test_a_judge_that_reads_for_itself_needs_no_texts(data: Path, tmp_path: Path, grm: Grm) -> None:
    code, out, said = grm(*tiny_asked(data, tmp_path, 4))
    assert code == 0, said
    found = json.loads(out)
    assert found["judge"]["meta_model"].startswith("self@sha256:")
    assert found["benchmarks"]["llmbar"]["vote"]["rule"] == "meta_topk"
    assert "which the judge names; --rule sum does without" in said
    assert grm(*tiny_asked(data, tmp_path, 4), "--meta-model", "self")[1] == out


def test_a_heuristic_is_a_judge_too(asked: list[str | Path], no_judge: None, grm: Grm) -> None:
    code, out, _ = grm(*asked, "--baseline", "longest", "--json")
    assert code == 0
    found = json.loads(out)["benchmarks"]["llmbar"]
    assert found["headline"]["value"] == found["heuristics"]["longest"] == 0
    assert found["heuristics"]["shortest"] == 1
    assert found["vote"] is None
    assert "curve" not in found


def test_the_list(no_judge: None, grm: Grm) -> None:
    rows = json.loads(grm("bench", "--list", "--json")[1])
    assert {"rewardbench", "llmbar", "rmb"} <= {row["name"] for row in rows}
    assert "llmbar" in grm("bench", "--list")[1]


def test_the_command_names_every_baseline() -> None:
    assert set(bench.BASELINES) == set(baselines.BASELINES)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "NAMES: name a benchmark"),
        (["nobench"], "'nobench' is not known"),
        (["llmbar", "--subset", "Nature"], "'Nature' is none of llmbar's"),
        (["llmbar", "--limit", "0"], "limit: 0 is not usable"),
        (["llmbar", "--quorum", "2"], "quorum: 2.0 is not usable"),
        (["llmbar", "--rule", "best"], "rule: 'best' is not known"),
        (["llmbar", "--template", "meta-rm"], "asks for no scores"),
        (["llmbar", "--baseline", "oracle"], "baseline: 'oracle' is unknown"),
        (["llmbar", "--baseline", "first", "--from-store"], "baseline: has no store"),
        (["llmbar", "--from-store", "--no-text"], "text: a store that is only read"),
        (["llmbar", "--meta-model", "m", "--no-text"], "meta_model: reads the judgements' texts"),
        (["llmbar", "--from-store"], "no trajectory store"),
        (["llmbar", "--temperature", "-1"], "temperature: -1.0 is not usable"),
        (["llmbar", "--baseline", "scalar"], "model: a scalar baseline needs one"),
    ],
)
def test_bad_input_is_named_before_a_model_is_loaded(
    words: list[str], said: str, data: Path, tmp_path: Path, no_judge: None, grm: Grm
) -> None:
    code, _, err = grm("bench", *words, "--data", data, "--out", tmp_path / "report")
    assert code == 2
    assert said in err


def test_bad_rows_are_named(tmp_path: Path, no_judge: None, grm: Grm) -> None:
    (tmp_path / "llmbar-Natural.jsonl").write_text('{"input": "q", "output_1": "a"}\n', encoding="utf-8")
    code, _, err = grm("bench", "llmbar", "--data", tmp_path, "--out", tmp_path / "report")
    assert code == 2
    assert "the columns output_2, label are missing" in err
    code, _, err = grm("bench", "rmb", "--out", tmp_path / "report")
    assert code == 2
    assert "--data FOLDER" in err


def test_without_matplotlib_the_figures_are_there(
    asked: list[str | Path], tmp_path: Path, judge: Counting, grm: Grm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Any:
        raise ImportError("drawing needs matplotlib: pip install 'modeling-grm[plots]'")

    monkeypatch.setattr(plots, "_library", missing)
    code, _, err = grm(*asked[:-1])
    assert code == 0
    assert "no pictures: drawing needs matplotlib" in err
    assert (tmp_path / "report" / "report.md").is_file()
