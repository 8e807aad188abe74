"""What `stages.py` measured, as Markdown; and the last stage alone, for its card and the README.

table(figures)              every stage and what each gained
report(figures)             the last stage, as JSON with a figure's value and interval
summary(report(figures))    that, as the README shows it
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

GREEDY = "greedy"
CHANCE = "chance"
"""Lots, the one baseline that answers on single responses too."""
GUIDED = "meta_topk"
"""The rule by which a meta RM guides a vote."""
POOLS = ("all", "contrast", "verifiable", "human")
K = 8
"""Judgements of a vote that is shown in full: the judge's own default, where more of them are stored."""


def shown_k(samples: int) -> int:
    """Of how many of an item's samples the votes are that are shown in full."""
    return min(K, samples)


def table(said: Mapping[str, Any], wanted: Callable[[str], bool] = lambda part: True) -> str:
    """All figures of the parts that are wanted."""
    stages = said["stages"]
    parts = [part for part in next(iter(stages.values()))["parts"] if wanted(part)]
    rows = []
    for name, stage in stages.items():
        for vote in stage["parts"]["all"]:
            cells = [_cell(stage["parts"][part][vote]) for part in parts]
            rows.append([name, f"{stage['readable']:.3f}", f"{stage['unaided']:.3f}", vote, *cells])
        rows.append([name, "", "", "ties", *(_cell(stage["ties"][part]) for part in parts)])
    rows += [[name, "", "", "", *(_cell(found[part]) for part in parts)] for name, found in said["baselines"].items()]
    return "\n\n".join(
        (_markdown(["stage", "readable", "unaided", "vote", *parts], rows), _gains(said["gains"], parts))
    )


def report(said: Mapping[str, Any]) -> dict[str, Any]:
    """The last stage alone: one judgement and the whole vote, what it gains over one and over the baselines."""
    name, stage = next((name, stage) for name, stage in reversed(said["stages"].items()) if name != GREEDY)
    k = shown_k(stage["k"])
    parts = {part: {vote: votes[vote] for vote in _votes(k, votes)} for part, votes in stage["parts"].items()}
    own = {
        long.removeprefix(f"{name}: "): found for long, found in said["gains"].items() if long.startswith(f"{name}: ")
    }
    wanted = [name for name in own if name.startswith((f"Voting@{k} - ", f"{GUIDED}@{k} - "))]
    gains = {short: {part: own[short][part] for part in POOLS} for short in wanted}
    beside = {judge: {part: found[part] for part in POOLS} for judge, found in said["baselines"].items()}
    about = {key: stage[key] for key in ("temperature", "readable", "unaided")}
    return {
        "stage": name, "rows": said["rows"], "k": k, "samples": stage["k"], **about, "judge": parts,
        "scaling": {part: stage["parts"][part] for part in POOLS} if stage["k"] > k else {}, "baselines": beside,
        "gains": gains, "position": stage["position"], "flips": stage["flips"],
    }  # fmt: skip


def _votes(k: int, there: Mapping[str, Any]) -> list[str]:
    """One judgement, the vote of k, and that of the judgements that a meta RM chose where there is one."""
    return [vote for vote in dict.fromkeys(("voting@1", f"voting@{k}", f"{GUIDED}@{k}")) if vote in there]


def summary(found: Mapping[str, Any]) -> str:
    """A report as Markdown: accuracy by part, gains, and what the order of two responses does."""
    k, others, rows = found["k"], [name for name in found["baselines"] if name != CHANCE], []
    names = {
        "voting@1": "one judgement",
        f"voting@{k}": f"vote of {k}",
        f"{GUIDED}@{k}": f"of the {k // 2} trusted most",
    }
    first, *votes = _votes(k, found["judge"]["all"])
    for part, figures in found["judge"].items():
        if "near in length" not in part:
            cells = [f"{_two(figures[vote])} ({_ends(figures[vote])})" for vote in votes]
            name = f"**{part}**" if part in POOLS else part
            rows.append([name, str(figures[first]["items"]), _two(figures[first]), *cells])
    head = ["", "rows", *(names[vote] for vote in (first, *votes))]
    lists = [_lists(found, part) for part in POOLS]
    return "\n\n".join(
        (
            _markdown(head, rows),
            _markdown(["lists only", "lists", f"vote of {k}", *others], lists),
            *_scaling(found["scaling"]),
            _gains(found["gains"], POOLS),
            _order(found),
        )
    )


def _scaling(votes: Mapping[str, Any]) -> list[str]:
    """Accuracy by how many judgements vote, of all and of the half that a meta RM trusts most."""
    if not votes:
        return []
    names = list(votes["all"])
    head = [name.replace("voting@", "k = ").replace(f"{GUIDED}@", "guided, k = ") for name in names]
    return [_markdown(["", *head], [[pool, *(_two(votes[pool][name]) for name in names)] for pool in POOLS])]


def _lists(found: Mapping[str, Any], part: str) -> list[str]:
    """The vote and the baselines on the same rows: those of several responses."""
    beside = found["baselines"]
    gain = found["gains"][f"Voting@{found['k']} - {next(iter(beside))}"][part]
    cells = [str(gain["items"]), f"{gain['b']:.2f}"] if gain else ["0", "-"]
    return [part, *cells, *(_two(parts[part]) for name, parts in beside.items() if name != CHANCE)]


def _order(found: Mapping[str, Any]) -> str:
    """What the order of two responses does, where there are pairs."""
    lines = [
        f"{found['unaided']:.1%} of the judgements are readable as they are written, {found['readable']:.1%} in all."
    ]
    if position := found["position"]:
        flips, effect = position["sample_flips"], position["slot_effect"][0]
        pools = [f"{pool} {_rate(rate)}, {rate['pairs']} pairs" for pool, rate in found["flips"].items()]
        lines += [
            f"The votes of a pair's two orders disagree in {_rate(position['flip_rate'])} of the "
            f"{position['flip_rate']['pairs']} pairs that both decide "
            f"({'; '.join(pools)});",
            f"single judgements of different orders in {_rate(flips['across'])}, of the same order in "
            f"{_rate(flips['within'])}, which is noise alone.",
            f"The response shown first wins {_rate(position['slot_wins'][0])} of the judgements that have a winner; "
            f"its score gains {effect['effect']:+.2f} points ({_signed(effect)}).",
        ]
    return "\n".join(lines)


def _signed(found: Mapping[str, float], times: int = 1, digits: int = 2) -> str:
    return " to ".join(f"{times * found[end]:+.{digits}f}" for end in ("low", "high"))


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(f"| {' | '.join(row)} |" for row in rows)])


def _gains(gains: Mapping[str, Any], parts: Sequence[str]) -> str:
    rows = [[name, *(_points(found[part]) for part in parts)] for name, found in gains.items()]
    return _markdown(["gain in points", *parts], rows)


def _cell(found: Mapping[str, float] | None) -> str:
    return f"{found['value']:.3f} ({found['low']:.3f} - {found['high']:.3f})" if found else "-"


def _two(found: Mapping[str, float] | None) -> str:
    return f"{found['value']:.2f}" if found else "-"


def _ends(found: Mapping[str, float]) -> str:
    return f"{found['low']:.2f} - {found['high']:.2f}"


def _rate(found: Mapping[str, float]) -> str:
    return f"{found['rate']:.2f} ({_ends(found)})"


def _points(found: Mapping[str, float] | None) -> str:
    if not found:
        return "-"
    return f"{100 * found['difference']:+.1f} ({_signed(found, 100, 1)})"
