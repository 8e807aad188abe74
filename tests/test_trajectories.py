"""trajectories/: what was sampled is there afterwards, once and whole, however the run ended."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from stores import CONFIG, Scripted, cramped_run, judged, requests, run, settings, slow_run

from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.parsing_grm import parse
from modeling_grm.rows import Row
from modeling_grm.scoring_grm import plan, score
from modeling_grm.trajectories import (
    COLUMNS,
    Settings,
    Store,
    UnwritableStore,
    canonical,
    content_hash,
    read,
    settings_in,
    without_texts,
    write_meta,
)
from modeling_grm.trajectories import journal as journal_module
from modeling_grm.trajectories import store as store_module
from modeling_grm.trajectories.samples import Asked, Facts, arrangement, completion_of, row_of
from modeling_grm.types_grm import Completion, InvalidInput, Outcome, Prompt, Request, RewardResult
from modeling_grm.voting_grm import item_hash

PAIR = Request("Which is longer?", ["a long answer", "short"])


def rows_of(folder: Path, columns: list[str] | None = None, **how: Any) -> list[dict[str, Any]]:
    """A store's samples as dictionaries."""
    return [row for batch in read(folder, columns, **how) for row in batch.to_pylist()]


def votes(results: Iterable[RewardResult]) -> list[Any]:
    """All of the results but the texts."""
    return [
        (
            r.scores,
            r.best,
            [(c.outcome, c.scores, c.expected, c.order, c.seed, c.completion_tokens) for c in r.critiques],
        )
        for r in results
    ]


def shard_in(folder: Path) -> Path:
    """The only shard."""
    (path,) = (folder / "data").iterdir()
    return path


# --- what is kept, and that it is not made again


def test_real_rows_are_kept_whole(tmp_path: Path, sample_rows: list[Row]) -> None:
    rows = sample_rows[:30]
    with Store(tmp_path, settings(), backend_version="1.2") as kept:

        def asked() -> Iterator[Request]:
            for row in rows:
                kept.register(row.request, id=row.id, labels=row.labels, best=row.best, licence=row.licence)
                yield row.request

        engine = kept.recording(Scripted(), encode=lambda messages: [len(messages[-1]["content"])])
        results = list(score(asked(), engine, CONFIG))
        assert (kept.made, kept.found, len(kept)) == (120, 0, 120)
    assert [path.name for path in tmp_path.iterdir() if "journal" in path.name] == []
    stored = {(row["id"], row["sample"]): row for row in rows_of(tmp_path)}
    assert len(stored) == 120
    for row, result in zip(rows, results, strict=True):
        for sample, critique in enumerate(result.critiques):
            found = stored[row.id, sample]
            assert tuple(found["query"]) == row.request.query
            assert tuple(found["responses"]) == row.request.responses
            assert (found["labels"], found["best"], found["licence"]) == (row.labels, row.best, row.licence)
            assert (found["item"], found["n"]) == (item_hash(row.request), row.request.n)
            assert (found["text"], found["outcome"]) == (critique.text, critique.outcome.value)
            assert found["scores"] == (None if critique.scores is None else list(critique.scores))
            assert found["expected"] == (None if critique.expected is None else list(critique.expected))
            assert (tuple(found["order"]), found["seed"]) == (critique.order, critique.seed)
            assert (found["model"], found["backend_version"], found["temperature"]) == ("org/judge", "1.2", 0.5)


@pytest.mark.parametrize("text", [True, False])
def test_the_second_time_nothing_is_made(tmp_path: Path, text: bool) -> None:
    first = run(tmp_path, requests(20), text=text)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.name != ".lock" and path.is_file()}
    idle = Scripted()
    again = run(tmp_path, requests(20), idle)
    assert not idle.seeds
    assert votes(again) == votes(first)
    assert {c.outcome for r in first for c in r.critiques} >= {Outcome.OK, Outcome.TRUNCATED, Outcome.WRONG_COUNT}
    assert before == {path: path.read_bytes() for path in before}
    if text:
        assert again == first


def test_a_larger_k_adds_samples(tmp_path: Path) -> None:
    run(tmp_path, requests(6))
    engine = Scripted()
    more = run(tmp_path, requests(6), engine, CONFIG.override(k=6))
    assert len(engine.seeds) == 12
    assert votes(more) == votes(score(requests(6), Scripted(), CONFIG.override(k=6)))
    assert len(rows_of(tmp_path, ["key"])) == 36


def test_without_text_no_text_is_written(tmp_path: Path) -> None:
    secret = Request("Xylophone query?", ["Xylophone answer", "b"], "Xylophone reference", "Xylophone principle")
    run(tmp_path, [secret], text=False)
    for row in rows_of(tmp_path):
        emptied = ("query", "responses", "reference", "principles", "text", "numbers", "error")
        assert [row[name] for name in emptied] == [None] * 7
        assert row["id"] == "row-0"
        assert row["labels"] == [0, 1]
    assert not any(b"ylophone" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_store_without_text_stays_so(tmp_path: Path) -> None:
    run(tmp_path, requests(2), text=False)
    run(tmp_path, requests(3))
    assert {row["text"] for row in rows_of(tmp_path, ["text"])} == {None}
    with pytest.raises(InvalidInput, match=r"text: .* was begun without texts, not with texts"):
        Store(tmp_path, settings(), text=True)


def test_a_copy_without_texts_gives_the_same_votes(tmp_path: Path) -> None:
    made = run(tmp_path / "store", requests(9))
    write_meta(tmp_path / "store", "org/meta", {row["key"]: 0.25 for row in rows_of(tmp_path / "store", ["key"])})
    copy = without_texts(tmp_path / "store", tmp_path / "copy")
    engine = Scripted()
    assert votes(run(copy, requests(9), engine)) == votes(made)
    assert not engine.seeds
    textless = [column.name for column in COLUMNS if not column.text]
    assert rows_of(copy, textless) == rows_of(tmp_path / "store", textless)
    assert {row["meta_score"] for row in rows_of(copy)} == {0.25}
    assert not any(row[column.name] for row in rows_of(copy) for column in COLUMNS if column.text)
    assert not [path for path in copy.rglob("*") if path.is_file() and b"Question 3?" in path.read_bytes()]


def test_a_copy_over_something_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "store", requests(1))
    with pytest.raises(InvalidInput, match=r"out: .* is not empty"):
        without_texts(tmp_path / "store", tmp_path)


def test_a_failed_engine_is_asked_again(tmp_path: Path) -> None:
    def down(prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
        for index, prompt in enumerate(prompts):
            yield index, Completion("", error="refused") if index % 2 else judged(prompt)

    with Store(tmp_path, settings()) as kept:
        kept.register(PAIR)
        (broken,) = score([PAIR], kept.recording(down), CONFIG)
        assert (broken.n_valid < 4, kept.made, len(kept)) == (True, 2, 2)
    assert sorted(row["error"] or "" for row in rows_of(tmp_path, ["error"])) == ["", "", "refused", "refused"]
    engine = Scripted()
    run(tmp_path, [PAIR], engine)
    assert len(engine.seeds) == 2
    assert {row["error"] for row in rows_of(tmp_path, ["error"])} == {None}
    assert len({row["key"] for row in rows_of(tmp_path, ["key"])}) == 4


def test_a_row_that_swaps_another_s_responses_shares_its_samples(tmp_path: Path) -> None:
    swapped = Request(PAIR.query, PAIR.responses[::-1])
    engine = Scripted(window=20)
    first, second = run(tmp_path, [PAIR, swapped], engine)
    assert len(engine.seeds) == 4
    assert second.totals == first.totals[::-1]  # type: ignore[index]
    more = run(tmp_path, [swapped], Scripted(), CONFIG.override(k=8))[0]
    found = rows_of(tmp_path)
    assert len(found) == 8
    assert {tuple(row["responses"]) for row in found} == {PAIR.responses}
    assert {(row["id"], tuple(row["labels"]), row["best"]) for row in found} == {("row-0", (0, 1), 1)}
    by_seed = {critique.seed: critique for critique in more.critiques}
    for row in found:
        mine = by_seed[row["seed"]]
        assert row["scores"] == (None if mine.scores is None else list(mine.scores[::-1]))
        assert row["order"] == [1 - at for at in mine.order]


def test_orders_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    with Store(tmp_path, settings()) as kept:
        kept.register(PAIR, id="one")
        with pytest.raises(InvalidInput, match="register each request just before its prompts are made"):
            kept.register(Request(PAIR.query, PAIR.responses[::-1]), id="two")


def test_what_was_not_registered_is_refused(tmp_path: Path) -> None:
    with (
        Store(tmp_path, settings()) as kept,
        pytest.raises(InvalidInput, match=r"not registered; call store\.register"),
    ):
        list(score([PAIR], kept.recording(Scripted()), CONFIG))


def test_a_released_request_is_let_go(tmp_path: Path) -> None:
    with Store(tmp_path, settings()) as kept:
        kept.register(PAIR)
        kept.register(PAIR)
        kept.release(PAIR)
        assert list(score([PAIR], kept.recording(Scripted()), CONFIG))
        kept.release(PAIR)
        kept.release(PAIR)
        with pytest.raises(InvalidInput, match="not registered"):
            list(score([PAIR], kept.recording(Scripted()), CONFIG.override(k=5)))


def test_stored_samples_come_before_the_engine_reads_on(tmp_path: Path) -> None:
    asked = requests(8)
    run(tmp_path, asked[:4])
    with Store(tmp_path, settings()) as kept:
        for request in asked:
            kept.register(request)
        read_: list[int] = []

        def prompts() -> Iterator[Prompt]:
            for at, request in enumerate(asked):
                read_.append(at)
                yield from plan(request, CONFIG, 0)

        answers = kept.recording(Scripted())(prompts())
        assert [next(answers)[0] for _ in range(16)] == list(range(16))
        assert read_ == [0, 1, 2, 3]
        assert sorted(index for index, _ in answers) == list(range(16, 32))


def test_many_stored_samples_between_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "PILE", 6)
    asked = requests(12)
    run(tmp_path, asked[1:11])
    engine = Scripted(window=50)
    assert votes(run(tmp_path, asked, engine)) == votes(score(asked, Scripted(), CONFIG))
    assert len(engine.seeds) == 8


@pytest.mark.parametrize(
    ("said", "named"),
    [({"labels": [1]}, "labels"), ({"labels": ["a", "b"]}, "labels"), ({"labels": [10**400, 1]}, "labels"),
     ({"best": 2}, "best"), ({"best": True}, "best"), ({"best": "0"}, "best")],
)  # fmt: skip
def test_labels_that_fit_no_response_are_refused(tmp_path: Path, said: dict[str, Any], named: str) -> None:
    with Store(tmp_path, settings()) as kept, pytest.raises(InvalidInput, match=f"^{named}: .* give"):
        kept.register(PAIR, **said)


def test_half_a_character_does_not_keep_a_store_from_closing(tmp_path: Path) -> None:
    with Store(tmp_path, settings()) as kept:
        kept.register(PAIR, id="\ud83d", source="\udc00", licence="\ud83d")
        torn = kept.recording(lambda prompts: ((0, Completion("\ud83d ok")) for _ in prompts))
        assert next(iter(torn(plan(PAIR, CONFIG, 0))))
    assert [row["text"] for row in rows_of(tmp_path, ["text"])] == ["\ufffd ok"]


# --- a row and its completion

_TEXTS = st.sampled_from(
    [
        "Scores: \\boxed{8, 3}", "Scores: \\boxed{8.5, 3}", "no scores", "", "Scores: [1, 2, 3]",
        "**Scores:** \\boxed{7, 7}\nBye", "Analysis: x\nScores: \\boxed{1", "Scores: \\boxed{-1, 3}", "\\boxed{10, 0}",
    ]
) | st.text(max_size=20)  # fmt: skip


@given(
    text=_TEXTS,
    truncated=st.booleans(),
    chances=st.lists(st.dictionaries(st.integers(1, 10), st.floats(1e-6, 1), min_size=1), min_size=2, max_size=2),
    order=st.permutations([0, 1]),
    places=st.permutations([0, 1]),
    kept=st.booleans(),
)
def test_a_stored_sample_is_parsed_as_it_was(
    text: str, truncated: bool, chances: list[dict[int, float]], order: list[int], places: list[int], kept: bool
) -> None:
    found = [at for at, letter in enumerate(text) if letter.isdigit()]
    total = [sum(chance.values()) for chance in chances]
    numbers = {
        at: {number: share / whole for number, share in chance.items()}
        for at, chance, whole in zip(found, chances, total, strict=False)
    }
    completion = Completion(text, truncated, 7, 5, constrained=truncated, numbers=numbers)
    prompt = Prompt(({"role": "user", "content": "x"},), tuple(order), 3, item_hash(PAIR), 1)
    facts = Facts("a", None, None, None, None, ("1", "2"))
    row = row_of(Asked("k", prompt, PAIR, tuple(places), facts), completion, settings(), text=kept)
    back = completion_of(row, (1, 10))
    before, after = parse(completion, order, 3), parse(back, order, 3)
    assert (after.outcome, after.scores, after.expected) == (before.outcome, before.scores, before.expected)
    assert (back.truncated, back.prompt_tokens, back.completion_tokens) == (truncated, 7, 5)
    assert back.constrained == truncated
    if kept:
        assert back == completion


@given(st.permutations(list("aabbc")))
def test_equal_responses_keep_their_sequence(shuffled: list[str]) -> None:
    places = arrangement(shuffled, "aabbc")
    assert sorted(places) == [0, 1, 2, 3, 4]
    assert all("aabbc"[place] == response for place, response in zip(places, shuffled, strict=True))
    assert [place for place in places if place < 2] == [0, 1]


@given(st.integers(0, 3), st.integers(0, 2**31 - 1), st.sampled_from([0.0, 0.5]))
@hypothesis_settings(max_examples=20)
def test_a_key_names_messages_seed_and_settings(sample: int, seed: int, temperature: float) -> None:
    prompt = plan(PAIR, CONFIG, 0)[sample]
    same = settings(CONFIG.override(temperature=temperature))
    other = settings(CONFIG.override(temperature=temperature + 0.1))
    moved = Prompt(prompt.messages, prompt.order, seed, prompt.item, prompt.sample)
    assert same.key(prompt) != other.key(prompt)
    assert (same.key(prompt) == same.key(moved)) == (seed == prompt.seed)


# --- how a run may end


def crashed(folder: Path, *, torn: bytes = b"") -> None:
    """Leave a store as a killed writer does: the journal stays, its last line perhaps torn."""
    kept = Store(folder, settings())
    for request in requests(3):
        kept.register(request)
    list(score(requests(3), kept.recording(Scripted()), CONFIG))
    kept._let_go()
    (journal,) = folder.glob("journal-*")
    journal.write_bytes(journal.read_bytes() + torn)


def test_what_a_killed_run_left_is_read_and_gone_on_with(tmp_path: Path) -> None:
    crashed(tmp_path, torn=b'{"key": "abc", "te')
    assert len(rows_of(tmp_path, ["scores", "key"])) == 12
    engine = Scripted()
    run(tmp_path, requests(4), engine)
    assert len(engine.seeds) == 4
    assert len({row["key"] for row in rows_of(tmp_path)}) == len(rows_of(tmp_path)) == 16


def test_a_kill_between_shard_and_journal_doubles_nothing(tmp_path: Path) -> None:
    crashed(tmp_path)
    (journal,) = tmp_path.glob("journal-*")
    left = journal.read_bytes()
    Store(tmp_path, settings()).close()
    journal.write_bytes(left)
    (tmp_path / "data-000007.tmp").write_bytes(b"PAR1")
    assert len(rows_of(tmp_path)) == 12
    Store(tmp_path, settings()).close()
    assert len(list((tmp_path / "data").iterdir())) == 1
    assert not [*tmp_path.glob("journal-*"), *tmp_path.glob("*.tmp")]


def test_a_damaged_line_of_a_journal_is_made_again(tmp_path: Path) -> None:
    crashed(tmp_path)
    (journal,) = tmp_path.glob("journal-*")
    lines = journal.read_bytes().split(b"\n")
    journal.write_bytes(b"\n".join([lines[0], b"\0" * 40, *lines[2:]]))
    engine = Scripted()
    with pytest.warns(UserWarning, match=r"journal-000000\.jsonl:2: a damaged line is passed over"):
        run(tmp_path, requests(3), engine)
    assert len(engine.seeds) == 1


@pytest.fixture(scope="module")
def forked() -> Any:
    """Starts functions in processes of their own, fork by fork from one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["modeling_grm.trajectories", "stores"])
    return context


def killed_and_resumed(tmp_path: Path, context: Any, moments: Iterable[float]) -> None:
    """Run over and over, killed at these moments; in the end the store is that of a run nobody disturbed."""
    whole, folder, log = tmp_path / "whole", tmp_path / "killed", tmp_path / "log"
    run(whole, requests(24))
    for moment in moments:
        before = {row["seed"] for row in rows_of(folder, ["seed"])} if (folder / "store.json").exists() else set()
        log.write_text("")
        process = context.Process(target=slow_run, args=(folder, log))
        process.start()
        deadline = time.monotonic() + 60
        while process.is_alive() and not log.read_text() and time.monotonic() < deadline:
            time.sleep(0.001)  # until the first sample: before it there is nothing to lose
        time.sleep(moment)
        process.kill()
        process.join()
        assert not before & {int(seed) for seed in log.read_text().split()}
    run(folder, requests(24))
    assert [json.dumps(row) for row in canonical(folder)] == [json.dumps(row) for row in canonical(whole)]
    physical = [key for path in (folder / "data").iterdir() for key in _keys(path)]
    assert len(physical) == len(set(physical)) == 96


def _keys(path: Path) -> list[str]:
    from pyarrow import parquet

    found: list[str] = parquet.read_table(path, columns=["key"])["key"].to_pylist()
    return found


def test_a_run_killed_three_times_equals_one_that_was_not(tmp_path: Path, forked: Any) -> None:
    killed_and_resumed(tmp_path, forked, [0.003, 0.05, 0.08])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_run_killed_at_twenty_moments_equals_one_that_was_not(tmp_path: Path, forked: Any, seed: int) -> None:
    killed_and_resumed(tmp_path, forked, [Random(f"{seed} {at}").uniform(0, 0.03) for at in range(20)])


@pytest.mark.parametrize("limit", [9_000, 30_000])
def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path, forked: Any, limit: int) -> None:
    folder, said = tmp_path / "store", tmp_path / "said"
    process = forked.Process(target=cramped_run, args=(folder, said, limit))
    process.start()
    process.join()
    assert "store: cannot be written: File too large; the samples recorded so far are kept" in said.read_text()
    left = rows_of(folder)
    assert 0 < len(left) < 96
    engine = Scripted()
    run(folder, requests(24), engine)
    assert len(engine.seeds) == 96 - len(left)


@pytest.mark.parametrize("rows", [3, 4096])
def test_a_disk_that_fills_while_a_shard_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(store_module, "ROLL_ROWS", rows)
    with monkeypatch.context() as full:
        full.setattr("modeling_grm.trajectories.shards.os.fsync", _no_space)
        full.setattr("modeling_grm.trajectories.opening.put_text", lambda path, text: path.write_text(text))
        with pytest.raises(UnwritableStore, match=r"No space left on device.*make room and run the same command"):
            run(tmp_path, requests(3))
    assert not list(tmp_path.glob("*.tmp"))
    assert len(rows_of(tmp_path)) == min(rows, 12)
    engine = Scripted()
    run(tmp_path, requests(3), engine)
    assert len(engine.seeds) == 12 - min(rows, 12)


def _no_space(handle: int) -> None:
    raise OSError(28, os.strerror(28))


def test_a_line_that_is_cut_by_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[[int, Any], int] = os.write

    def half(handle: int, data: Any) -> int:
        if len(data) < 20:
            _no_space(handle)
        return real(handle, data[: len(data) // 2])

    journal = journal_module.Journal(tmp_path / "journal-000000.jsonl")
    journal.append({"key": "a", "created": "2026-01-01T00:00:00+00:00"})
    with monkeypatch.context() as full:
        full.setattr(journal_module.os, "write", half)
        with pytest.raises(OSError, match="No space left"):
            journal.append({"key": "b", "created": "2026-01-01T00:00:00+00:00"})
    journal.append({"key": "c", "created": "2026-01-01T00:00:00+00:00"})
    journal.close()
    assert [row["key"] for row in journal_module.replay(journal.path)] == ["a", "c"]


def test_two_writers_are_refused(tmp_path: Path) -> None:
    run(tmp_path, requests(1))
    with Store(tmp_path, settings()):
        with pytest.raises(InvalidInput, match=f"process {os.getpid()} writes into it; wait for it"):
            Store(tmp_path, settings())
        with pytest.raises(InvalidInput, match="writes into it"):
            write_meta(tmp_path, "m", {})
        assert len(rows_of(tmp_path, ["key"])) == 4
    Store(tmp_path, settings()).close()


# --- settings


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    run(tmp_path, requests(1))
    other = CONFIG.override(temperature=0.7, max_new_tokens=9)
    with pytest.raises(InvalidInput) as refused:
        run(tmp_path, requests(1), config=other)
    said = "temperature: 0.5 in the store, 0.7 now; max_new_tokens: 1024 in the store, 9 now; give another folder, or"
    assert said in str(refused.value)
    run(tmp_path, requests(1), config=other, mix=True)
    run(tmp_path, requests(2), config=other)
    stored = settings_in(tmp_path)
    assert {one["temperature"] for one in stored.values()} == {0.5, 0.7}
    assert {row["settings"] for row in rows_of(tmp_path, ["settings"])} == set(stored)
    assert len(rows_of(tmp_path, ["key"])) == 12


@pytest.mark.parametrize(
    "change", [{"template": "deepseek-grm"}, {"top_k": 3}, {"top_p": 0.9}, {"constrain": "scores"}]
)
def test_each_setting_counts(change: dict[str, Any]) -> None:
    assert settings(CONFIG.override(**change)).digest != settings().digest


def test_k_and_the_kind_of_a_number_do_not_count() -> None:
    as_whole = GRMConfig(template="compact", k=9, top_p=1, quorum=1.0)
    assert settings(as_whole).digest == settings().digest
    assert settings(seed=1).digest != settings().digest
    custom = Settings.of(GRMConfig(template="{conversation} {responses}"), model="m", backend="b")
    assert custom.template == "custom"


def test_a_checkpoint_s_content_is_its_revision(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "README.md").write_text("a card")
    first = content_hash(tmp_path)
    (tmp_path / "README.md").write_text("another card")
    assert content_hash(tmp_path) == first
    (tmp_path / "model.safetensors").write_bytes(b"Weights")
    assert content_hash(tmp_path) != first


# --- reading


def test_only_the_columns_asked_for_come(tmp_path: Path) -> None:
    run(tmp_path, requests(4))
    batches = list(read(tmp_path, ["scores", "item"], batch_rows=5))
    assert {tuple(batch.schema.names) for batch in batches} == {("scores", "item")}
    assert [len(batch) for batch in batches] == [5, 5, 5, 1]
    with pytest.raises(InvalidInput, match=r"columns: \['score'\] are not in a store; known are"):
        read(tmp_path, ["score"])


def test_empty_columns_keep_their_types(tmp_path: Path) -> None:
    run(tmp_path, requests(1), text=False)
    (batch,) = read(tmp_path)
    assert [(field.name, field.type) for field in batch.schema] == [(column.name, column.type) for column in COLUMNS]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _flip(path: Path) -> None:
    from pyarrow import parquet

    group = parquet.read_metadata(path).row_group(0)
    (column,) = (group.column(at) for at in range(group.num_columns) if group.column(at).path_in_schema == "outcome")
    whole = bytearray(path.read_bytes())
    whole[(column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 1] ^= 255
    path.write_bytes(whole)


@pytest.mark.parametrize("damage", [_cut, _flip])
def test_a_damaged_shard_is_named(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    run(tmp_path, requests(3))
    first = shard_in(tmp_path)
    run(tmp_path, requests(5))
    damage(first)
    said = rf"{first.name}: a damaged shard .* move it out of the folder: the next run makes its samples again"
    with pytest.raises(InvalidInput, match=said):
        rows_of(tmp_path, ["outcome"])
    with pytest.raises(InvalidInput, match=said):
        Store(tmp_path, settings())
    with pytest.warns(UserWarning, match=f"passed over: .*{first.name}"):
        assert len(rows_of(tmp_path, ["outcome"], skip_damaged=True)) == 8
    first.rename(tmp_path.parent / f"{tmp_path.name}-moved")
    engine = Scripted()
    run(tmp_path, requests(5), engine)
    assert len(engine.seeds) == 12


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("notes.txt", "x", "no store, and not empty \\(notes.txt\\)"), ("store.json", "{", "cannot be read"),
     ("store.json", "[]", "cannot be read"), ("store.json", '{"format": 2}', "format 2, this version reads 1")],
)  # fmt: skip
def test_another_folder_is_refused(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidInput, match=said):
        Store(tmp_path, settings())
    with pytest.raises(InvalidInput, match=f"{said}|no trajectory store"):
        read(tmp_path)


def test_a_file_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="is a file; give the folder"):
        Store(tmp_path / "file", settings())
    with pytest.raises(InvalidInput, match=r"no trajectory store, it has no store\.json"):
        read(tmp_path / "none")


def test_an_empty_store_is_read(tmp_path: Path) -> None:
    Store(tmp_path, settings()).close()
    assert rows_of(tmp_path) == []
    assert list(canonical(tmp_path)) == []


def test_ratings_come_beside_the_samples(tmp_path: Path) -> None:
    run(tmp_path, requests(3))
    keys = [row["key"] for row in rows_of(tmp_path, ["key"])]
    assert {row["meta_score"] for row in rows_of(tmp_path, ["meta_score"])} == {None}
    write_meta(tmp_path, "org/meta", {key: float(at) for at, key in enumerate(keys)})
    write_meta(tmp_path, "org/meta", {keys[0]: 9.5, keys[1]: None, "elsewhere": 1.0})
    assert [row["meta_score"] for row in rows_of(tmp_path, ["meta_score"])] == [9.5, None, *range(2, 12)]
    assert {row["meta_model"] for row in rows_of(tmp_path)} == {"org/meta"}
    write_meta(tmp_path, "org/other", {keys[2]: 1.0})
    with pytest.raises(InvalidInput, match=r"ratings by \['org/meta', 'org/other'\], choose one"):
        read(tmp_path)
    assert len(rows_of(tmp_path, ["scores"])) == 12
    found = rows_of(tmp_path, ["meta_score"], meta_model="org/other")
    assert [row["meta_score"] for row in found] == [None, None, 1.0, *[None] * 9]


def test_it_loads_as_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    folder = tmp_path / "store"
    run(folder, requests(3))
    run(folder, requests(5))
    write_meta(folder, "org/meta", {row["key"]: 1.0 for row in rows_of(folder, ["key"])})
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.column_names == [column.name for column in COLUMNS]
    assert sorted(loaded["key"]) == sorted(row["key"] for row in rows_of(folder, ["key"]))
    assert loaded[0]["query"][0]["role"] == "user"
    rated = datasets.load_dataset(str(folder), "meta", split="train", cache_dir=str(tmp_path / "cache"))
    assert rated["meta_score"] == [1.0] * 20


def test_the_card_says_what_is_there(tmp_path: Path) -> None:
    from huggingface_hub import DatasetCard

    run(tmp_path, requests(3), text=False)
    card = DatasetCard.load(tmp_path / "README.md")
    assert card.data.license == "mit"
    assert card.data.size_categories == ["n<1K"]
    assert card.data.to_dict()["configs"] == [
        {"config_name": "default", "default": True, "data_files": "data/*.parquet"}
    ]
    assert "12 samples of 3 items, without texts" in card.text
    assert '| "org/judge" | "abc" |' in card.text
    assert all(f"`{column.name}`" in card.text for column in COLUMNS)
    (tmp_path / "README.md").write_text("My own.")
    run(tmp_path, requests(4))
    assert (tmp_path / "README.md").read_text() == "My own."


def test_a_copied_store_goes_on(tmp_path: Path) -> None:
    run(tmp_path / "a", requests(3))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    engine = Scripted()
    run(tmp_path / "b", requests(3), engine)
    assert not engine.seeds


def test_without_pyarrow_the_error_carries_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "modeling_grm.trajectories.arrow")
    with pytest.raises(ImportError, match=r"pip install 'modeling-grm\[data\]'$"):
        importlib.import_module("modeling_grm.trajectories.arrow")
