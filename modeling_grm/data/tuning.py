"""Rows of a prompt and its answer as a trainer's examples: token ids, and as labels those of the answer alone.

    {"prompt": [{"role": "user", "content": "Judge the 2 responses ..."}],
     "completion": [{"role": "assistant", "content": "Specific Criteria: ... Scores: \\boxed{8, 3}"}]}

Judgements as `recipes/sample` writes them, and general instruction data (`messages`, or prompt and completion). A
prompt's tokens are the very ones that the judge is asked with when it is used; an answer ends as the tokenizer's chat
template ends a turn. Knows nothing about models and trainers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..generation_grm import encode, plain
from ..prompts_grm import TEMPLATES, Template, find_template
from ..types_grm import InvalidInput

IGNORED = -100
"""The label of a token that nothing is learnt from."""
TRAINING_ONLY = "deepseek-grm-single"
READERS = {".jsonl": "json", ".jsonl.gz": "json", ".parquet": "parquet"}
Turns = Sequence[Mapping[str, str]]


def read_answers(where: str, split: str = "train") -> Any:
    """A dataset's rows with two columns: `prompt` (chat messages) and `completion` (text, "" where there is none).

    Args:
        where: Hub id, a folder of a dataset's files, or one file (`READERS`).
        split: which one.

    Raises:
        InvalidInput: it cannot be read, has no rows, or lacks the columns (by name).
        ImportError: without datasets.
    """
    rows = read_dataset(where, split)
    shape = next((make for names, make in SHAPES if names <= set(rows.column_names)), None)
    if shape is None:
        raise InvalidInput(
            f"columns: {where!r} has {sorted(rows.column_names)}; it needs prompt and completion, or messages"
        )
    return rows.map(shape, remove_columns=rows.column_names, features=_answer_features())


def _answer_features() -> Any:
    from datasets import Features, List, Value

    text = Value("string")
    return Features({"prompt": List({"role": text, "content": text}), "completion": text})


def _example_features() -> Any:
    from datasets import Features, List, Value

    ids = List(Value("int32"))
    return Features({"input_ids": ids, "labels": ids, "left_out": Value("string")})


def read_dataset(where: str, split: str = "train") -> Any:
    """A dataset's rows as they are, from where `read_answers` takes them.

    Raises:
        InvalidInput: it cannot be read.
        ImportError: without datasets.
    """
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise ImportError("training data is read by datasets: pip install 'modeling-grm[train]'") from error
    reader = next((reader for ending, reader in READERS.items() if where.endswith(ending)), None)
    try:
        if reader:
            return load_dataset(reader, data_files=where, split=split)
        return load_dataset(where, split=split, cache_dir=_cache_of(where))
    except Exception as error:  # the Hub client and the readers each have their own kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(
            f"dataset: {where!r} cannot be read ({reason}); give a Hub id, a folder with its files, or a file"
        ) from error


def _cache_of(where: str) -> str | None:
    """A cache for this content alone: datasets tells two local folders of one name with like cards not apart."""
    if not Path(where).is_dir():
        return None
    from datasets import config

    from ..trajectories.schema import content_hash

    return str(Path(config.HF_DATASETS_CACHE) / "folders" / content_hash(where).replace(":", "-"))


def _turns(messages: Any) -> list[dict[str, str]]:
    texts = ((turn["role"], turn["content"]) for turn in messages or [])
    return [{"role": role, "content": content if isinstance(content, str) else ""} for role, content in texts]


def _of_pair(row: Mapping[str, Any]) -> dict[str, Any]:
    asked, answered = (row[name] for name in ("prompt", "completion"))
    return {
        "prompt": [{"role": "user", "content": asked}] if isinstance(asked, str) else _turns(asked),
        "completion": answered if isinstance(answered, str) else "".join(turn["content"] for turn in _turns(answered)),
    }


def _of_messages(row: Mapping[str, Any]) -> dict[str, Any]:
    *asked, last = _turns(row["messages"]) or [{"role": "", "content": ""}]
    return {"prompt": asked, "completion": last["content"] if last["role"] == "assistant" else ""}


SHAPES: tuple[tuple[set[str], Callable[[Mapping[str, Any]], dict[str, Any]]], ...] = (
    ({"prompt", "completion"}, _of_pair),
    ({"messages"}, _of_messages),
)


def template_of(prompts: Iterable[Turns], given: str | None = None) -> str:
    """The template that judgements' prompts are written with; those of `TRAINING_ONLY` go with any.

    Args:
        prompts: chat messages.
        given: what it is, by name or as its whole text; checked then.

    Raises:
        InvalidInput: prompts of several templates, of none that is known, or not of the given one (with the counts).
    """
    templates = [*TEMPLATES.values()] if given is None else [find_template(given), TEMPLATES[TRAINING_ONLY]]
    found = Counter(_written_with(turns, templates) for turns in prompts)
    counts = ", ".join(f"{name or 'none of these'} {number}" for name, number in found.most_common())
    if None in found:
        known = ", ".join(template.name for template in templates)
        raise InvalidInput(f"template: prompts by template ({known}): {counts}; name theirs, or give its whole text")
    names = sorted(name for name in found if name and name != TRAINING_ONLY) or [TRAINING_ONLY]
    if len(names) > 1:
        raise InvalidInput(f"template: the prompts are of several, {counts}; a judge has one, so sample with one")
    return given or names[0]


def _written_with(turns: Turns, templates: Iterable[Template]) -> str | None:
    """Of several that fit, the one with most to say of a response: `compact` would take a closing line for its text."""
    fitting = (template for template in templates if _fits(turns, template))
    found = max(fitting, key=lambda template: len(template.block), default=None)
    return found.name if found else None


def _fits(turns: Turns, template: Template) -> bool:
    """Whether the template's own words are all there, in order, from the first to the last character, a block's too."""
    system = [turn["content"] for turn in turns[:-1]]
    if not turns or system != ([] if template.system is None else [template.system]):
        return False
    first, *between, last = re.split(r"\{\w+\}", template.user)
    text, at = turns[-1]["content"], len(first)
    for words in between:
        found = text.find(words, at)
        if found < 0:
            return False
        at = found + len(words)
    block = (words.strip() in text for words in re.split(r"\{\w+\}", template.block))
    return text.startswith(first) and text.endswith(last) and at + len(last) <= len(text) and all(block)


def answer_ids(tokenizer: Any, prompt: Turns, answer: str) -> list[int]:
    """The answer's tokens with the end of its turn, which follow those of `encode(tokenizer, prompt)`.

    The chat template says how a turn ends; where it writes an answered prompt differently from an open one, the
    tokenizer's end-of-sequence token ends it.
    """
    turns = plain(tokenizer, [*map(dict, prompt), {"role": "assistant", "content": answer}])
    opened, whole = (
        tokenizer.apply_chat_template(part, tokenize=False, add_generation_prompt=is_open)
        for part, is_open in ((turns[:-1], True), (turns, False))
    )
    rest = whole[len(opened) :] if whole.startswith(opened) else turns[-1]["content"] + tokenizer.eos_token
    ids = list(tokenizer(rest, add_special_tokens=False)["input_ids"])
    end = tokenizer.eos_token_id
    return ids[: ids.index(end) + 1] if end in ids else ids


def to_example(row: Mapping[str, Any], tokenizer: Any, max_length: int | None) -> dict[str, Any]:
    """A row of `read_answers` as `input_ids` and `labels`; why it is left out stands in `left_out`, else ""."""
    if not row["prompt"] or not row["completion"].strip():
        return _left_out("no question, or no answer at its end")
    try:
        asked = encode(tokenizer, row["prompt"])
        answered = answer_ids(tokenizer, row["prompt"], row["completion"])
    except InvalidInput as error:
        return _left_out(str(error))
    if max_length is not None and len(asked) + len(answered) > max_length:
        return _left_out(f"longer than max_length {max_length}")
    return {"input_ids": asked + answered, "labels": [IGNORED] * len(asked) + answered, "left_out": ""}


def _left_out(why: str) -> dict[str, Any]:
    return {"input_ids": [], "labels": [], "left_out": why}


def to_examples(
    rows: Any, tokenizer: Any, max_length: int | None, num_proc: int | None = None
) -> tuple[Any, Counter[str]]:
    """All rows as examples, and how many were left out for which reason. No example is cut: half a judgement is none.

    Raises:
        InvalidInput: none is left (the message has the counts).
    """
    made = partial(to_example, tokenizer=tokenizer, max_length=max_length)
    features = _example_features()  # a first batch of nothing but rows left out would tell a wrong type
    examples = rows.map(made, remove_columns=rows.column_names, features=features, num_proc=num_proc)
    left = Counter(reason for reason in examples["left_out"] if reason)
    kept = examples.filter(lambda reason: not reason, input_columns="left_out").remove_columns("left_out")
    if not len(kept):
        reasons = "; ".join(f"{number}: {reason}" for reason, number in left.most_common())
        raise InvalidInput(f"rows: none left of {len(rows)} ({reasons})")
    return kept, left


def drawn(sources: Sequence[Any], wanted: int, seed: int) -> Any:
    """At most `wanted` rows of several `read_answers`, drawn from all of them together."""
    from datasets import concatenate_datasets

    rows = concatenate_datasets(list(sources)).shuffle(seed=seed)
    return rows.select(range(min(wanted, len(rows))))
