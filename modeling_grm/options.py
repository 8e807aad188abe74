"""The options that several commands have in the same words."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[str | None, typer.Option(help="Hub id or folder of a GRM; the embedded 135M judge if left out.")]
Temperature = Annotated[float | None, typer.Option(help="0 is greedy.")]
TopP = Annotated[float | None, typer.Option(help="Nucleus mass, (0, 1].")]
TopK = Annotated[int | None, typer.Option(help="Sample from that many likeliest tokens; 0 is all.")]
MaxNewTokens = Annotated[int | None, typer.Option(help="Token budget of one judgement.")]
Template = Annotated[str | None, typer.Option(help="A name of `grm template list`.")]
Constrain = Annotated[
    str | None,
    typer.Option(help='"scores": an unreadable judgement writes one more line, of scores only; "none": it stays so.'),
]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")]
Quorum = Annotated[float, typer.Option(help="Least share of readable judgements.")]
Settings = Annotated[str | None, typer.Option(help="Which settings, in a store that holds several.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
JsonLines = Annotated[bool, typer.Option("--json", help="JSON lines on stdout.")]
