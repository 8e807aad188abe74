"""The engine benchmark on a tiny model: everything of it that needs no vLLM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from benchmarks.engines.__main__ import child, left, main, parser
from benchmarks.engines.datafile import DataFile
from benchmarks.engines.jobs import Writer
from benchmarks.engines.measures import shuffled_prefills
from benchmarks.engines.points import FAMILIES, KINDS, Grid, Point, estimate, grid, measured_at, work
from benchmarks.engines.table import markdown
from hypothesis import given
from hypothesis import strategies as st
from tiny import SIZES, tiny_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

CONTEXT = 4096
WORK = ("ours", Point(60, 8, k=2), 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny checkpoint whose context holds a whole template."""
    path = tmp_path_factory.mktemp("tiny")
    LlamaForCausalLM(LlamaConfig(**SIZES | {"max_position_embeddings": CONTEXT})).save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    return str(path)


def planned(*arguments: str) -> tuple[Any, Grid, list[tuple[str, Point, int]]]:
    options = parser().parse_args(arguments)
    chosen = grid(options.points, options.k, options.n, options.quick)
    return options, chosen, list(dict.fromkeys(work(chosen, options.engines, options.repeats)))


def test_every_transformers_engine_writes_what_was_asked_and_the_table_shows_it(folder: str, tmp_path: Path) -> None:
    out = tmp_path / "engines.json"
    options, chosen, todo = planned(
        *("--points", "40x3", "--k", "2", "--n", "1,2", "--repeats", "2", "--model", folder, "--out", str(out)),
        *("--family", "transformers"),
    )
    data = DataFile(out)
    child(options, data, chosen, left(data, todo))
    stored = DataFile(out)
    mine = [name for name, kind in KINDS.items() if kind.family == "transformers"]
    assert {run["engine"] for run in stored.data["runs"]} == set(mine)
    assert {name for name, _, _ in left(stored, todo)} == set(KINDS) - set(mine)
    prefills = stored.data["measures"]["prefills"]
    assert [prefills[n]["ours"] for n in ("4", "8")] == [4, 8]
    memory = stored.data["measures"]["memory"]
    assert memory["num_return_sequences"] == 2 * memory["ours"] > 0
    shown = markdown(stored, chosen)
    assert "ours / num_return_sequences" in shown
    assert "None" not in shown
    before = stored.data["runs"]
    child(options, stored, chosen, left(stored, todo))
    assert DataFile(out).data["runs"] == before, "what is in the file is not measured again"


def test_without_vllm_its_engines_are_left_out_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    options, chosen, todo = planned("--quick", "--family", "vllm")
    child(options, DataFile(tmp_path / "none.json"), chosen, todo)
    assert "vllm: left out" in capsys.readouterr().out


@given(tokens=st.integers(40, 200), n=st.sampled_from((1, 2, 4)), k=st.integers(4, 9), items=st.integers(1, 3))
def test_prompts_have_the_wanted_length_and_orders_share_the_samples(tokens: int, n: int, k: int, items: int) -> None:
    job = Writer(tiny_tokenizer()).job(Point(tokens, 4, k, n, items), 0)
    assert len(job.groups) == n * items
    assert all(tokens - 8 <= len(ids) <= tokens + 8 for ids in job.ids)
    sizes = [len(group.samples) for group in job.groups]
    assert sum(sizes) == k * items
    assert max(sizes) - min(sizes) <= 1


def test_no_repeat_sees_the_prompts_of_another() -> None:
    writer, point = Writer(tiny_tokenizer()), Point(60, 4, k=4, n=2, items=2)
    contents = [
        {prompt.messages[0]["content"].splitlines()[0] for prompt in writer.job(point, repeat).prompts}
        for repeat in (0, 1, 0)
    ]
    assert contents[0] == contents[2]
    assert not contents[0] & contents[1]


def test_the_grid_is_the_one_that_was_promised() -> None:
    chosen = grid()
    assert chosen.has_goals
    assert chosen.points[:2] == (Point(900, 128, 8), Point(900, 128, 8, items=16))
    assert len(chosen.points) == 1 + 3 * (1 + 3 + 3)
    assert set(estimate(work(chosen, list(KINDS), 3))) == set(KINDS)
    assert len(grid(quick=True).points) == 2


def test_the_naive_loop_is_measured_once_a_shape() -> None:
    todo = dict.fromkeys(work(grid(), ["naive"], 1))
    assert len(todo) == 3
    assert measured_at("naive", Point(300, 64, 32, 4)) == Point(300, 64, 4)


def test_an_interrupted_run_goes_on_where_it_was_and_again_forgets(tmp_path: Path) -> None:
    path = tmp_path / "engines.json"
    DataFile(path).add(*WORK[:2], seconds=2.0, load=0.1, dtype="float32")
    data = DataFile(path)
    assert data.speed(*WORK[:2]) == 8.0
    assert left(data, [WORK, ("ours", WORK[1], 1)]) == [("ours", WORK[1], 1)]
    data.drop([WORK])
    assert left(DataFile(path), [WORK]) == [WORK]


def test_figures_of_two_machines_do_not_share_a_file(tmp_path: Path) -> None:
    data = DataFile(tmp_path / "engines.json")
    data.bind({"cpu": "one"}, {"torch": "1"})
    data.bind({"cpu": "one"}, {"torch": "1"})
    with pytest.raises(SystemExit, match="another machine"):
        data.bind({"cpu": "two"}, {"torch": "1"})


def test_goals_are_judged_by_paired_ratios(tmp_path: Path) -> None:
    data, chosen = DataFile(tmp_path / "engines.json"), grid(quick=True)
    for engine, seconds in (("vllm-raw", (10.0, 20.0, 10.0)), ("vllm-ours", (10.1, 20.2, 30.0))):
        for one in seconds:
            data.add(engine, chosen.main, one, 0.0, dtype="bfloat16")
    assert data.ratio("vllm-ours", "vllm-raw", chosen.main) == pytest.approx(1 / 1.01)
    shown = markdown(data, chosen)
    assert "| >= 0.97x | 0.99x | yes |" in shown
    assert "| >= 3.0x | - | not measured |" in shown


def test_random_shuffles_need_about_18_and_32_prefills() -> None:
    assert shuffled_prefills(4, 32) == pytest.approx(17.9, abs=0.2)
    assert shuffled_prefills(8, 32) == pytest.approx(32.0, abs=0.1)


def test_an_estimate_measures_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "engines.json"
    monkeypatch.setattr("sys.argv", ["engines", "--estimate", "--out", str(out)])
    assert main() == 0
    assert "roughly" in capsys.readouterr().out
    assert not out.exists()
    assert set(FAMILIES) == {"transformers", "vllm", "openai"}
