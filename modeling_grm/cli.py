"""`grm`: score responses from the shell.

    grm score FILE --k 8            a table with critiques; --json for JSON lines
    grm score --query Q --response A --response B
    grm score FILE --backend openai --base-url http://127.0.0.1:8000/v1 --model M
    grm score hf://datasets/org/name --out hf://datasets/org/name/scores.jsonl      from the Hub, and to it
    grm score FILE --store DIR      keep every judgement; a killed run goes on where it stopped
    grm rate DIR --meta-model M     let a meta RM rate stored judgements
    grm revote DIR --k 1,2,4,8      any vote over stored judgements, without a model
    grm compare A B                 two judges on the same stored items
    grm calibrate DIR               learn from stored judgements when to stop and how sure to be
    grm publish model|dataset|space|code|suite      make, check and upload what goes to the Hub
    grm bench NAME...               reward benchmarks: official metrics, a store, a report
    grm template list | show NAME
    grm info [MODEL]

Bad input ends with exit code 2 before a model is loaded; a file with bad rows has them reported, the rest scored, and
ends with 1.
"""

from __future__ import annotations

import json
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from . import hub_paths
from .bench import bench
from .comparing import compare
from .configuration_grm import GRMConfig
from .console import ERR, excerpt, print_pairs, print_result, printable, progress
from .loading import describe, load
from .offline import calibrate, revote
from .options import Constrain, Json, JsonLines, MaxNewTokens, Model, Temperature, Template, TopK, TopP
from .prompts_grm import TEMPLATES, find_template
from .publish import app as publishing
from .rating import rate
from .rows import BadRow, Row, count_rows, read_rows
from .rules_grm import find_rule
from .scoring_grm import score_range
from .types_grm import InvalidInput, Request

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Generative reward models: critiques, scores, votes."
)
templates = typer.Typer(no_args_is_help=True, help="The judge prompts that come with the package.")
app.add_typer(templates, name="template")
app.add_typer(publishing, name="publish")
app.command()(rate)
app.command()(revote)
app.command()(calibrate)
app.command()(bench)
app.command()(compare)


@dataclass
class Tally:
    """What a run did, for the last line."""

    rows: int = 0
    bad: int = 0
    labelled: int = 0
    right: int = 0
    abstained: int = 0
    tokens: int = 0
    judgements: int = 0
    started: float = field(default_factory=time.perf_counter)

    def add(self, row: Row | BadRow, result: dict[str, Any]) -> None:
        """Count one row with its result."""
        if isinstance(row, BadRow):
            self.bad += 1
            return
        self.rows += 1
        self.judgements += result["k"]
        self.abstained += result["scores"] is None
        self.tokens += sum(sample["completion_tokens"] for sample in result["samples"])
        if isinstance(row.best, int) and row.request.n > 1:
            self.labelled += 1
            self.right += result["best"] == row.best

    def rate(self) -> str:
        """Judgements and tokens a second so far."""
        seconds = time.perf_counter() - self.started
        return f"{self.judgements / seconds:.1f} judgements/s, {self.tokens / seconds:.0f} tokens/s"

    def __str__(self) -> str:
        parts = [f"{self.rows} scored, {self.rate()}"]
        parts += [f"{self.abstained} without a score"] * bool(self.abstained)
        parts += [f"the labelled best won in {self.right} of {self.labelled}"] * bool(self.labelled)
        parts += [f"{self.bad} bad rows"] * bool(self.bad)
        return "; ".join(parts)


def _rows(
    file: str | None, query: str | None, responses: list[str], limit: int | None, split: str | None
) -> Iterator[Row | BadRow]:
    """The rows asked for, on whichever way."""
    if (file is None) == (query is None):
        raise InvalidInput("FILE: give a file of rows, or --query with --response, and not both")
    if file is None:
        return iter([Row("the command line", "query", Request(query, responses))])
    if responses:
        raise InvalidInput("--response: goes with --query; the rows of a FILE bring their own responses")
    return read_rows(file, limit, split)


def _whole_or_auto(k: str | None) -> int | str | None:
    return int(k) if k is not None and k.isascii() and k.isdigit() else k


def _check(settings: dict[str, Any], store: Path | None, text: bool | None, mix: bool) -> None:
    """Refuse what no run could use, before anything is loaded."""
    if store is None and (text is not None or mix):
        raise InvalidInput(f"{'mix' if mix else 'text'}: belongs to --store; name the store's folder")
    if settings["rule"] is not None:
        find_rule(settings["rule"])
    # the judge may have a confidence map, and a k of its own
    unknown = ("min_confidence", *(["k_meta"] if settings["k"] is None else []))
    offline = {name: value for name, value in settings.items() if name not in unknown}
    score_range(GRMConfig().override(**offline).template)


def _opened(store: Path, pipe: Any, given: dict[str, Any], backend: str, text: bool | None, mix: bool) -> Any:
    from .storing import open_store

    return open_store(store, pipe, given, backend, text=text, mix=mix)


def _written(out: str) -> AbstractContextManager[TextIO]:
    return hub_paths.writing(out) if hub_paths.is_hub(out) else open(out, "w", encoding="utf-8")


def _checked(row: Row | BadRow, *checks: Callable[[Row], None]) -> Row | BadRow:
    if isinstance(row, BadRow):
        return row
    try:
        for check in checks:
            check(row)
    except InvalidInput as error:
        return BadRow(row.place, row.id, str(error))
    return row


def _judged(
    rows: Iterator[Row | BadRow], pipe: Any, settings: dict[str, Any], store: Any = None
) -> Iterator[tuple[Row | BadRow, dict[str, Any]]]:
    """Every row with its result, in the file's order; a bad row comes with its error, in its place."""
    read: deque[Row | BadRow] = deque()
    checks: list[Callable[[Row], None]] = [lambda row: pipe.check(row.request, **settings)]
    if store is not None:
        from .storing import register

        checks.append(lambda row: register(store, row))

    def good() -> Iterator[Request]:
        for row in rows:
            read.append(_checked(row, *checks))
            if isinstance(read[-1], Row):
                yield read[-1].request

    recording = {} if store is None else {"record": store.recording}
    for result in pipe(good(), return_samples=True, **recording, **settings):
        while isinstance(read[0], BadRow):
            yield read[0], {"error": read.popleft().error}  # type: ignore[union-attr]
        row = read.popleft()
        if store is not None and isinstance(row, Row):
            store.release(row.request)
        yield row, result
    yield from ((row, {"error": row.error}) for row in read if isinstance(row, BadRow))


def _record(row: Row | BadRow, result: dict[str, Any], samples: bool) -> str:
    kept = result if samples else {name: value for name, value in result.items() if name not in ("samples", "voters")}
    labels = {"label": row.best} if isinstance(row, Row) and row.best is not None else {}
    return json.dumps({"id": row.id, "place": row.place, **kept, **labels}, ensure_ascii=False)


@app.command()
def score(
    file: Annotated[
        str | None,
        typer.Argument(
            help="Rows with `query` or `conversation`, and `responses`: .jsonl, .jsonl.gz or .parquet, local or "
            "hf://datasets/org/name/FILE; or a dataset, hf://datasets/org/name."
        ),
    ] = None,
    query: Annotated[str | None, typer.Option(help="Score one query instead of a file.")] = None,
    response: Annotated[list[str] | None, typer.Option(help="A response to --query; repeat it for more.")] = None,
    model: Model = None,
    backend: Annotated[
        str, typer.Option(help="Engine: transformers, vllm, or openai for any OpenAI-compatible server.")
    ] = "transformers",
    base_url: Annotated[
        str | None,
        typer.Option(help="openai: the server, such as http://127.0.0.1:8000/v1; Hugging Face's if left out."),
    ] = None,
    concurrency: Annotated[int | None, typer.Option(help="openai: requests in flight, 16 if left out.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="float32, bfloat16 or float16; on a CPU the faster one if left out.")
    ] = None,
    k: Annotated[
        str | None,
        typer.Option(help='Judgements a row, or "auto": until the vote is safe. The model\'s own if left out.'),
    ] = None,
    k_max: Annotated[int | None, typer.Option(help="Most judgements a row with --k auto.")] = None,
    delta: Annotated[
        float | None, typer.Option(help="--k auto: accepted share of votes that differ from the one over all samples.")
    ] = None,
    rule: Annotated[str | None, typer.Option(help="How samples become one vote: sum, majority, expected, ...")] = None,
    meta_model: Annotated[
        str | None,
        typer.Option(
            help="Hub id or folder of a meta RM that chooses which judgements vote; or self, the judge's own."
        ),
    ] = None,
    k_meta: Annotated[int | None, typer.Option(help="How many it lets vote; half of them if left out.")] = None,
    min_confidence: Annotated[
        float | None, typer.Option(help="Abstain where the probability that the best is right is lower.")
    ] = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    max_new_tokens: MaxNewTokens = None,
    seed: Annotated[int, typer.Option(help="Orders and random streams depend on it and on the row's content.")] = 0,
    template: Template = None,
    principles: Annotated[str | None, typer.Option(help="Criteria of your own, for every row that has none.")] = None,
    reference: Annotated[str | None, typer.Option(help="A reference answer, for every row that has none.")] = None,
    truncation: Annotated[
        str | None, typer.Option(help='"middle" cuts what does not fit; else it is an error.')
    ] = None,
    constrain: Constrain = None,
    limit: Annotated[int | None, typer.Option(help="Stop after that many rows of the file.")] = None,
    split: Annotated[str | None, typer.Option(help="Of a dataset of the Hub that has several.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Distinct prompts at work together; the engine's own choice if left out.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Keep every judgement in this folder; what it has is not made again.")
    ] = None,
    text: Annotated[
        bool | None, typer.Option("--text/--no-text", help="--store: keep texts, or hashes, scores and labels only.")
    ] = None,
    mix: Annotated[bool, typer.Option("--mix", help="--store: add to a store made with other settings.")] = False,
    critiques: Annotated[int, typer.Option(help="How many critiques to print with each table.")] = 1,
    samples: Annotated[bool, typer.Option("--samples", help="Put every judgement into the JSON.")] = False,
    as_json: JsonLines = False,
    out: Annotated[
        str | None,
        typer.Option(
            help="Also write JSON lines to this file, a line a row as it is done; hf://datasets/org/name/FILE becomes "
            "a commit at the end."
        ),
    ] = None,
) -> None:
    """Score the responses of each row by k sampled judgements and their vote.

    \b
    grm score rows.jsonl --k 8
    grm score --query "What is 2+2?" --response 4 --response "I like trains"
    """
    settings = {
        "k": _whole_or_auto(k), "k_max": k_max, "delta": delta, "rule": rule, "k_meta": k_meta,
        "min_confidence": min_confidence,
        "temperature": temperature, "top_p": top_p, "top_k": top_k, "max_new_tokens": max_new_tokens,
        "template": template, "truncation": truncation, "constrain": constrain,
    }  # fmt: skip
    _check(settings, store, text, mix)
    if out and hub_paths.is_hub(out):
        hub_paths.check_writable(out)
    rows = _rows(file, query, response or [], limit, split)
    defaults = {"principles": principles, "reference": reference}
    Request("?", ["?"], **defaults)
    total = count_rows(file, limit) if file else 1
    engine: dict[str, Any] = {"base_url": base_url, "concurrency": concurrency, "dtype": dtype}
    pipe = load(model, backend, **engine, batch_size=batch_size, meta_model=meta_model)
    given = {name: value for name, value in settings.items() if value is not None} | {"seed": seed}
    tally = Tally()
    with ExitStack() as open_:
        bar = open_.enter_context(progress(total))
        sink = open_.enter_context(_written(out)) if out else None
        kept = open_.enter_context(_opened(store, pipe, given, backend, text, mix)) if store else None
        for row, result in _judged(_with_defaults(rows, defaults), pipe, given, kept):
            _show(row, result, critiques, samples, as_json, sink)
            tally.add(row, result)
            bar.update(bar.task_ids[0], advance=1, rate=tally.rate())
    ERR.print(str(tally), markup=False)
    if kept:
        ERR.print(f"{store}: {kept.found} judgements were there, {kept.made} made", markup=False)
    if tally.bad:
        raise typer.Exit(1)


def _with_defaults(rows: Iterator[Row | BadRow], defaults: dict[str, str | None]) -> Iterator[Row | BadRow]:
    for row in rows:
        if isinstance(row, Row):
            asked = row.request
            filled = {name: getattr(asked, name) or value for name, value in defaults.items()}
            row = replace(row, request=Request(asked.query, asked.responses, **filled))
        yield row


def _show(
    row: Row | BadRow, result: dict[str, Any], critiques: int, samples: bool, as_json: bool, sink: TextIO | None
) -> None:
    if sink:
        sink.write(_record(row, result, samples) + "\n")
        sink.flush()
    if isinstance(row, BadRow):
        ERR.print(printable(f"{row.place}: {row.error}"), style="red", markup=False)
    if as_json:
        typer.echo(_record(row, result, samples))
    elif isinstance(row, Row):
        print_result(row.id, row.request.query, row.request.responses, result, critiques)


@templates.command("list")
def template_list(as_json: JsonLines = False) -> None:
    """Name every template and say what it is for."""
    notes = {t.name: ("(reconstructed) " if t.reconstructed else "") + t.note for t in TEMPLATES.values()}
    if as_json:
        for name, note in notes.items():
            typer.echo(json.dumps({"name": name, "note": note, "score_range": TEMPLATES[name].score_range}))
    else:
        print_pairs("templates", notes)


@templates.command("show")
def template_show(name: Annotated[str, typer.Argument(help="A name of `grm template list`.")]) -> None:
    """Print a template's text with its placeholders."""
    found = find_template(name)
    if found.system:
        typer.echo(f"[system] {found.system}\n")
    typer.echo(found.user)
    typer.echo("\n--- {responses} are, one after another:\n" + found.block)


@app.command()
def info(
    model: Annotated[str | None, typer.Argument(help="Hub id or folder; the embedded judge if left out.")] = None,
    as_json: Json = False,
) -> None:
    """Say what a checkpoint is and how it judges by default, without loading its weights."""
    facts = describe(model)
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        print_pairs(excerpt(model or "the embedded judge", 80), facts)


def main() -> None:
    """The console script: bad input becomes one line on stderr and exit code 2."""
    warnings.simplefilter("ignore", FutureWarning)  # renames inside transformers and peft are nothing to a user
    try:
        app()
    except (InvalidInput, ImportError) as error:
        ERR.print(f"error: {printable(str(error))}", style="red", markup=False)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
