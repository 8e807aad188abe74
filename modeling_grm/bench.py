"""`grm bench`: a judge on reward benchmarks, with the official metrics, a store of every judgement, and a report.

    grm bench llmbar rewardbench2 --model org/a-grm --k 8 --out report
    grm bench rewardbench --data FOLDER --limit 200 --out report      rows of a folder; a part of them is labelled so
    grm bench llmbar --out report --from-store                        the same report again, without the model
    grm bench llmbar --baseline scalar --model org/a-reward-model --out report-scalar

The report is computed from the items and the store alone, so the same command goes on where a run was stopped and, with
all judgements there, makes none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from .configuration_grm import GRMConfig
from .console import ERR, print_rows
from .first_reading_grm import reads_texts
from .loading import load
from .options import Constrain, Dtype, MaxNewTokens, Model, Quorum, Temperature, Template, TopK, TopP
from .rules_grm import find_rule
from .scoring_grm import score_range
from .types_grm import InvalidInput

STORE = "store"
BASELINES = ("shortest", "longest", "first", "scalar", "verdict", "token-prob", "first-reading")
LIST = {"name": "benchmark", "hub_id": "Hub id", "rows": "rows", "metric": "metric", "licence": "licence"}
HEADLINES = {
    "benchmark": "benchmark",
    "items": "items",
    "value": "value",
    "low": "95% from",
    "high": "to",
    "strict": "strict",
    "coverage": "coverage",
}


def bench(
    names: Annotated[list[str] | None, typer.Argument(help="Benchmarks; --list says which there are.")] = None,
    model: Model = None,
    meta_model: Annotated[
        str | None,
        typer.Option(
            help="Hub id or folder of a meta RM, or self: it rates the judgements and guides the vote. The model's own "
            "if left out; --rule sum does without."
        ),
    ] = None,
    k: Annotated[int | None, typer.Option(help="Judgements an item; the model's own if left out.")] = None,
    rule: Annotated[str | None, typer.Option(help="How they become one vote; sum, or meta_topk by a meta RM.")] = None,
    k_meta: Annotated[int | None, typer.Option(help="How many vote where they are ranked; half if left out.")] = None,
    quorum: Quorum = 0.5,
    backend: Annotated[str, typer.Option(help="Engine: transformers, vllm or openai.")] = "transformers",
    base_url: Annotated[str | None, typer.Option(help="openai: the server.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="openai: requests in flight.")] = None,
    dtype: Dtype = None,
    batch_size: Annotated[int | None, typer.Option(help="Distinct prompts at work together.")] = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    max_new_tokens: MaxNewTokens = None,
    template: Template = None,
    truncation: Annotated[str | None, typer.Option(help='"middle" cuts what does not fit; else it is refused.')] = None,
    constrain: Constrain = None,
    data: Annotated[Path | None, typer.Option(help="A folder with the rows, in the place of the Hub.")] = None,
    subset: Annotated[list[str] | None, typer.Option(help="Only this official subset; repeat it for more.")] = None,
    limit: Annotated[
        int | None, typer.Option(help="At most that many rows of each benchmark, drawn by --seed.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the rows drawn, orders, random streams and the bootstrap.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("report"),
    store: Annotated[Path | None, typer.Option(help="Folder of the judgements; OUT/store if left out.")] = None,
    text: Annotated[
        bool | None, typer.Option("--text/--no-text", help="Keep texts in the store, or hashes and scores only.")
    ] = None,
    mix: Annotated[bool, typer.Option("--mix", help="Add to a store made with other settings.")] = False,
    settings: Annotated[
        str | None, typer.Option(help="--from-store: which settings, in a store that holds several.")
    ] = None,
    from_store: Annotated[
        bool, typer.Option("--from-store", help="Report on what is stored, without a model.")
    ] = False,
    baseline: Annotated[str | None, typer.Option(help=f"In the GRM's place: {', '.join(BASELINES)}.")] = None,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw the report's pictures.")] = True,
    as_list: Annotated[bool, typer.Option("--list", help="Name the benchmarks and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report on stdout.")] = False,
) -> None:
    """Judge reward benchmarks: official metrics with intervals, curves, pictures.

    \b
    grm bench llmbar --model org/a-grm --k 8 --out report
    """
    if as_list:
        _list(as_json)
        return
    asked = {
        "k": k, "temperature": temperature, "top_p": top_p, "top_k": top_k, "max_new_tokens": max_new_tokens,
        "template": template, "truncation": truncation, "constrain": constrain,
    }  # fmt: skip
    voting = {"rule": rule, "quorum": quorum, "k_meta": k_meta}
    _check(asked, voting, baseline, from_store, meta_model, text)
    loaded = _loaded(names or [], data=data, subsets=subset, limit=limit, seed=seed)
    from . import judging
    from .reports import Ballot

    ballot = Ballot(k or 0, rule, k_meta, quorum)
    given = {name: value for name, value in asked.items() if value is not None} | {"seed": seed}
    engine: dict[str, Any] = {"base_url": base_url, "concurrency": concurrency, "dtype": dtype}
    pipe = partial(load, model, backend, **engine, batch_size=batch_size)
    if baseline:
        made = {"model": model, "dtype": dtype, "batch_size": batch_size, "settings": given, "pipe": pipe}
        report = judging.baseline_report(baseline, made, loaded, out, ballot, seed)
    else:
        folder = store or out / STORE
        if from_store:
            rater = judging.rater_in(folder, meta_model)
            guided = meta_model or (rater and judging.all_rated(loaded, folder, settings, rater))
            ballot = replace(ballot, rule=rule or ("meta_topk" if guided else None))
        else:
            ballot, made_with, guide = judging.judged(
                loaded, pipe(), given, folder, backend, ballot, meta_model, text, mix
            )
            settings = made_with
            rater = judging.rated(loaded, folder, made_with, guide, model, dtype) if guide else judging.rater_in(folder)
        report = judging.store_report(loaded, folder, ballot, settings, rater, seed)
    _write(report, out, plots)
    _show(report, as_json)


def _list(as_json: bool) -> None:
    from .benchmarks import BENCHMARKS

    rows = [
        {**{name: getattr(found, name) for name in LIST}, "hub_id": ", ".join(found.hub_id)}
        for found in BENCHMARKS.values()
    ]
    if as_json:
        typer.echo(json.dumps(rows))
    else:
        print_rows("benchmarks", LIST, rows)


def _check(
    asked: Mapping[str, Any],
    voting: Mapping[str, Any],
    baseline: str | None,
    from_store: bool,
    meta_model: str | None,
    text: bool | None,
) -> None:
    """Refuse what no run could use, before anything is loaded."""
    known_k = asked["k"] is not None
    settings = {name: value for name, value in voting.items() if known_k or name != "k_meta"}
    score_range(GRMConfig().override(**asked, **settings).template)
    if voting["rule"] is not None:
        find_rule(voting["rule"])
    known = ", ".join(BASELINES)
    refused: dict[str, bool] = {
        f"baseline: {baseline!r} is unknown; known are {known}": baseline not in (None, *BASELINES),
        "baseline: has no store; leave out --from-store and --meta-model": bool(
            baseline and (from_store or meta_model)
        ),
        "meta_model: reads the judgements' texts; leave out --no-text": bool(
            text is False and meta_model and reads_texts(meta_model)
        ),
        "text: a store that is only read stays as it is; leave it out": from_store and text is not None,
    }
    for said, applies in refused.items():
        if applies:
            raise InvalidInput(said)


def _loaded(names: Sequence[str], **how: Any) -> dict[str, Any]:
    """The items of each benchmark, by its name.

    Raises:
        InvalidInput: no benchmark, or see `load_items`.
    """
    if not names:
        raise InvalidInput("NAMES: name a benchmark; `grm bench --list` says which there are")
    from .benchmarks import load_items

    return {name: load_items(name, **how) for name in dict.fromkeys(names)}


def _write(report: Mapping[str, Any], out: Path, plots: bool) -> None:
    from .reports import write, write_pictures

    paths = write(report, out)
    try:
        paths += write_pictures(report, out) if plots else []
    except ImportError as error:
        ERR.print(f"no pictures: {error}", markup=False)
    ERR.print(f"{out}: {', '.join(path.name for path in paths)}", markup=False)


def _show(report: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report))
        return
    rows = []
    for name, part in report["benchmarks"].items():
        ours = {key: (part["ours"][key] or {}).get("value") for key in ("strict", "coverage")}
        shown = f"{name} (partial)" if part["partial"] else name
        rows.append({**part["headline"], **ours, "benchmark": shown, "items": part["rows"]["items"]})
    print_rows(str(report["judge"]["model"]), HEADLINES, rows)
