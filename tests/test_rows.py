"""rows.py: good rows come out whole, bad ones by their place and reason, and nothing in a file raises half way."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_grm.rows import BadRow, Row, read_rows, row_from
from modeling_grm.types_grm import InvalidInput

ROOT = Path(__file__).resolve().parent.parent
GOOD = {"query": "Why is the sky blue?", "responses": ["Rayleigh scattering.", "It is a blue lid."]}


def written(path: Path, *lines: object) -> Path:
    """One line for each value: text and bytes as they are, anything else as JSON."""
    encoded = (line if isinstance(line, (str, bytes)) else json.dumps(line) for line in lines)
    text = b"".join((line if isinstance(line, bytes) else line.encode("utf-8")) + b"\n" for line in encoded)
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def only(path: Path) -> BadRow:
    """The one row of a file, which is a bad one."""
    (row,) = read_rows(path)
    assert isinstance(row, BadRow), row
    return row


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "ROWS.JSONL"])
def test_reads_json_lines(tmp_path: Path, name: str) -> None:
    path = written(
        tmp_path / name, GOOD | {"id": 7, "best": 0, "labels": [1, 0]}, "", GOOD | {"principles": "Be exact."}
    )
    first, second = read_rows(path)
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert (first.place, first.id, first.best, first.labels) == (f"{path}:1", "7", 0, [1, 0])
    assert (second.place, second.id, second.best, second.labels) == (f"{path}:3", f"{path}:3", None, None)
    assert second.request.principles == "Be exact."
    assert first.request.responses == tuple(GOOD["responses"])


def test_reads_a_conversation_and_a_byte_order_mark(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}] * 2
    row = {"conversation": turns[:3], "responses": ["a"], "query": None, "reference": "b"}
    (read,) = read_rows(written(tmp_path / "rows.jsonl", b"\xef\xbb\xbf" + json.dumps(row).encode()))
    assert isinstance(read, Row)
    assert read.request.query == tuple(turns[:3])
    assert read.request.reference == "b"


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ({"source": "PandaLM", "license": "Apache-2.0"}, ("PandaLM", "Apache-2.0")),
        ({"licence": "MIT", "license": "other"}, (None, "MIT")),
        ({"source": 3, "licence": ["MIT"], "license": None}, (None, None)),
    ],
)
def test_source_and_licence_are_read_where_they_are_words(said: dict[str, object], read: tuple[object, object]) -> None:
    row = row_from(GOOD | said, "rows.jsonl:1")
    assert isinstance(row, Row)
    assert (row.source, row.licence) == read


def test_an_unusual_line_break_stays_inside_its_row(tmp_path: Path) -> None:
    text = "one\u2028two\u0085three"
    (row,) = read_rows(
        written(tmp_path / "rows.jsonl", json.dumps({"query": text, "responses": ["a"]}, ensure_ascii=False))
    )
    assert isinstance(row, Row)
    assert row.request.query[0]["content"] == text


def test_a_bad_row_leaves_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", GOOD, '{"query": "x", ', GOOD)
    first, bad, last = read_rows(path)
    assert isinstance(first, Row)
    assert isinstance(last, Row)
    assert isinstance(bad, BadRow)
    assert bad.place == f"{path}:2"
    assert bad.error.startswith("invalid JSON at column ")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ([1, 2], "expected a JSON object"),
        ("null", "expected a JSON object"),
        ({"responses": ["a"]}, "either `query` or `conversation`"),
        ({"prompt": "x", "responses": ["a"]}, "this one has `prompt`, `responses`"),
        ({}, "this one has nothing"),
        ({"query": "x"}, "this one has `query`"),
        (GOOD | {"conversation": [{"role": "user", "content": "x"}]}, "either `query` or `conversation`"),
        (GOOD | {"query": "  "}, "query: the text is empty"),
        (GOOD | {"query": 3}, "query: expected text"),
        (GOOD | {"responses": []}, "responses: the list is empty"),
        (GOOD | {"responses": "a"}, "responses: expected a list"),
        (GOOD | {"responses": ["a", 5]}, "responses[1]: expected text, got 5"),
        (GOOD | {"responses": ["a"] * 17}, "at most 16"),
        (GOOD | {"reference": 3}, "reference: expected non-empty text"),
        (GOOD | {"id": True}, "id: expected text or a whole number"),
        (GOOD | {"id": [1]}, "id: expected text or a whole number"),
        ({"conversation": [{"role": "assistant", "content": "x"}], "responses": ["a"]}, "last turn must be the user's"),
        (b'{"query": "\xff"}', "not UTF-8 at byte 11"),
        ("[" * 100_000, "nested too deeply"),
        ('{"id": ' + "9" * 5000 + "}", "invalid JSON"),
        ('{"query": "\\ud83d", "responses": ["a"]}', "half a character"),
        ('{"query": "x", "responses": ["a", "\\udc00"]}', "half a character"),
    ],
)
def test_a_bad_row_says_why(tmp_path: Path, line: object, said: str) -> None:
    bad = only(written(tmp_path / "rows.jsonl", line))
    assert said in bad.error
    assert bad.place.endswith("rows.jsonl:1")


def test_a_bad_row_keeps_its_id(tmp_path: Path) -> None:
    assert only(written(tmp_path / "rows.jsonl", {"id": "tea", "query": "x"})).id == "tea"


@pytest.mark.parametrize("name", ["rows.json", "rows.csv", "rows", "rows.jsonl.zst"])
def test_an_unknown_kind_of_file_is_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(InvalidInput, match=r"unknown kind of file.*\.jsonl\.gz"):
        read_rows(tmp_path / name)


@pytest.mark.parametrize("name", ["none.jsonl", "none.parquet", "folder.jsonl"])
def test_a_missing_file_is_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(InvalidInput, match="there is no such file"):
        read_rows(tmp_path / name)


def test_limit_counts_bad_rows_too(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", GOOD, "{", GOOD, GOOD)
    assert [type(row) for row in read_rows(path, limit=3)] == [Row, BadRow, Row]
    assert len(list(read_rows(path, limit=9))) == 4
    with pytest.raises(InvalidInput, match="limit: 0"):
        read_rows(path, limit=0)


def test_a_cut_gzip_file_names_the_place(tmp_path: Path) -> None:
    rows = [GOOD | {"id": os.urandom(40).hex()} for _ in range(400)]
    path = written(tmp_path / "rows.jsonl.gz", *rows)
    path.write_bytes(path.read_bytes()[:-2000])
    *whole, last = read_rows(path)
    assert whole
    assert all(isinstance(row, Row) for row in whole)
    assert isinstance(last, BadRow)
    assert last.place == f"{path}:{len(whole) + 1}"
    assert "cannot be read from here on" in last.error


def test_a_file_that_is_no_gzip_names_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl.gz").write_text(json.dumps(GOOD))
    assert only(tmp_path / "rows.jsonl.gz").place.endswith(":1")


def test_rows_come_one_at_a_time(tmp_path: Path) -> None:
    """A small gzip file of 50 MB of rows is read in a few MB of memory."""
    path = written(tmp_path / "rows.jsonl.gz", *[GOOD | {"note": "x" * 100_000}] * 500)
    tracemalloc.start()
    try:
        assert sum(isinstance(row, Row) for row in read_rows(path)) == 500
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_reads_parquet(tmp_path: Path) -> None:
    pa, parquet = _pyarrow()
    turns = [{"role": "user", "content": "Hi"}]
    table = pa.table(
        {
            "id": ["a", "b", "c"],
            "query": ["x", None, None],
            "conversation": [None, turns, None],
            "responses": [["1", "2"], ["1"], ["1"]],
        }
    )
    path = tmp_path / "rows.parquet"
    parquet.write_table(table, path)
    first, second, bad = read_rows(path)
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert isinstance(bad, BadRow)
    assert (first.id, first.request.n, second.request.query) == ("a", 2, tuple(turns))
    assert (bad.place, bad.id) == (f"{path}:3", "c")
    assert len(list(read_rows(path, limit=1))) == 1


def test_a_damaged_parquet_file_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(InvalidInput, match="not a readable parquet file"):
        read_rows(tmp_path / "rows.parquet")


def test_parquet_pages_that_do_not_decode_name_the_row(tmp_path: Path) -> None:
    pa, parquet = _pyarrow()
    path = tmp_path / "rows.parquet"
    queries = [f"{number} {number**9}" for number in range(2000)]
    parquet.write_table(pa.table({"query": queries, "responses": [["1", "2"]] * 2000}), path, row_group_size=1000)
    at = parquet.read_metadata(path).row_group(1).column(0).data_page_offset
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + b"\xff" * 500 + whole[at + 500 :])
    *rows, last = read_rows(path)
    assert 700 < sum(isinstance(row, Row) for row in rows) <= 1000
    assert last.place.endswith(f":{len(rows) + 1}")
    assert isinstance(last, BadRow)
    assert "cannot be read from here on" in last.error


def test_without_pyarrow_the_error_carries_the_pip_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'modeling-grm\[data\]'$"):
        read_rows(tmp_path / "rows.parquet")


def _pyarrow() -> tuple[Any, Any]:
    import pyarrow as pa
    from pyarrow import parquet

    return pa, parquet


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(
    st.dictionaries(st.sampled_from(["id", "query", "conversation", "responses", "reference", "best"]), _JSON) | _JSON
)
def test_no_row_raises(record: object) -> None:
    row = row_from(record, "rows.jsonl:1")
    assert row.place == "rows.jsonl:1"


@given(st.binary(max_size=200))
def test_no_file_raises(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.jsonl"
    path.write_bytes(content)
    assert all(isinstance(row, (Row, BadRow)) for row in read_rows(path))


def test_the_sample_is_what_its_readme_says(sample_path: Path, sample_rows: list[Row]) -> None:
    with gzip.open(sample_path, "rt", encoding="utf-8") as lines:
        licences = [json.loads(line)["license"] for line in lines]
    assert all(licence.startswith(("MIT", "Apache-2.0")) for licence in licences)
    assert len({row.id for row in sample_rows}) == 200
    assert Counter(row.id.split("/")[0] for row in sample_rows) == {
        "pandalm_test": 50,
        "gsm8k_best_of_4": 35,
        "hh_rlhf_harmless_test": 25,
        "prmbench_pairs": 25,
        "rewardbench_partial": 25,
        "prometheus_absolute": 20,
        "bigbench_mistake": 20,
    }
    assert sum(len(row.request.query) > 1 for row in sample_rows) == 10
    assert sample_path.stat().st_size < 400_000


def test_the_sample_is_built_from_the_data_folder(grm_data: Path, sample_path: Path) -> None:
    script = sample_path.with_name("build_sample.py")
    spec = importlib.util.spec_from_file_location("build_sample", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    with gzip.open(sample_path, "rt", encoding="utf-8") as lines:
        assert module.build(grm_data) == [json.loads(line) for line in lines]


def test_every_evaluation_file_is_read_whole(grm_data: Path) -> None:
    for path in sorted((grm_data / "eval").glob("*.jsonl.gz")):
        bad = [row for row in read_rows(path, limit=300) if isinstance(row, BadRow)]
        assert not bad, bad[:3]


def test_the_demo_is_readable() -> None:
    rows = list(read_rows(ROOT / "recipes" / "examples" / "demo.jsonl"))
    assert [row.request.n for row in rows if isinstance(row, Row)] == [2, 2, 4, 1, 2, 2]
    assert len({row.id for row in rows}) == 6
