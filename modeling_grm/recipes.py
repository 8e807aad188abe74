"""What the recipes share: one command line, strict about its keys, and where a stopped run goes on.

    def main(args: Arguments, config: SFTConfig) -> None: ...

    if __name__ == "__main__":
        script(main, Arguments, SFTConfig)  # python train.py --config smoke.yaml --max_steps 3

A YAML's keys are fields of the dataclasses; the command line's words go before them. A key that does not exist is named
with its nearest neighbour, before any model is read. Knows nothing about training.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from .types_grm import InvalidInput

LIBRARIES = ("transformers", "trl")


def parse(*kinds: type[Any], argv: Sequence[str] | None = None) -> tuple[Any, ...]:
    """One object of each dataclass, from `--config FILE.yaml` and the words before and behind it.

    Args:
        kinds: dataclasses without a common field.
        argv: words of the command line; this process's own if left out.

    Raises:
        InvalidInput: no such file, a key that no dataclass has, or a value that its dataclass refuses.
        ImportError: without trl.
    """
    path, words = _config_of(argv)
    keys = {} if path is None else read_keys(path, *kinds)
    parser = _parser(kinds)
    plain = {key: value for key, value in keys.items() if _is_word(value)}
    parser.set_defaults_with_config(**{key: value for key, value in keys.items() if key not in plain})
    words = [*(f"--{key}={value}" for key, value in plain.items()), *words]
    try:
        _, unknown = parser.parse_known_args(words)
        _refuse_unknown([_key(word) for word in unknown], kinds, "the command line")
        return tuple(parser.parse_args_into_dataclasses(words, look_for_args_file=False))
    except argparse.ArgumentError as error:
        raise InvalidInput(f"{_name(error)}: {error.message}") from error
    except InvalidInput:
        raise
    except ValueError as error:
        raise InvalidInput(f"arguments: {error}") from error


def read_keys(path: str | Path, *kinds: type[Any]) -> dict[str, Any]:
    """A recipe's YAML.

    Raises:
        InvalidInput: it cannot be read, is no mapping, or has a key that is no field of the dataclasses.
    """
    import yaml  # type: ignore[import-untyped]

    try:
        keys = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput(f"config: {str(path)!r} cannot be read; give a YAML file ({error})") from error
    if not isinstance(keys, dict):
        raise InvalidInput(f"config: {str(path)!r} is no mapping of keys; write `key: value` lines")
    keys = {str(key): value for key, value in keys.items()}
    _refuse_unknown(keys, kinds, str(path))
    return keys


def script(main: Callable[..., object], *kinds: type[Any]) -> None:
    """`main(*parsed)` of the command line; bad input ends it with one line, `error: ...`, and status 2."""
    try:
        main(*parse(*kinds))
    except (InvalidInput, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def last_checkpoint(folder: str | Path | None) -> str | None:
    """The newest `checkpoint-N` in a folder, from which a stopped run goes on; None where there is none."""
    from transformers.trainer_utils import get_last_checkpoint

    return get_last_checkpoint(str(folder)) if folder is not None and Path(folder).is_dir() else None


def go_on(trainer: Any) -> None:
    """Make the steps that a run's last checkpoint lacks: all of them without one, none where it has them all.

    Left to itself, the Trainer makes one step more each time that a finished run is started again, where `max_steps`
    ends inside an epoch. `max_steps: 0` trains nothing.
    """
    from transformers import TrainerState

    before, wanted = last_checkpoint(trainer.args.output_dir), trainer.args.max_steps
    if before and 0 < wanted <= int(before.rpartition("-")[2]):
        trainer._load_from_checkpoint(before)
        trainer.state = TrainerState.load_from_json(str(Path(before) / "trainer_state.json"))
    elif wanted:
        trainer.train(resume_from_checkpoint=before)


def _config_of(argv: Sequence[str] | None) -> tuple[str | None, list[str]]:
    front = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    front.add_argument("--config")
    found, words = front.parse_known_args(argv)
    return found.config, words


def _parser(kinds: Any) -> Any:
    try:
        from trl import TrlParser
    except ImportError as error:
        raise ImportError("the recipes need trl: pip install 'modeling-grm[train]'") from error
    return TrlParser(kinds, allow_abbrev=False, exit_on_error=False)


def _is_word(value: object) -> bool:
    """Whether a YAML value is written like a word of the command line, and so checked like one."""
    return isinstance(value, (str, int, float))


def _key(word: str) -> str:
    return word.removeprefix("--").partition("=")[0]


def _name(error: argparse.ArgumentError) -> str:
    return _key((error.argument_name or "arguments").partition("/")[0])


def _refuse_unknown(keys: Iterable[str], kinds: Sequence[type[Any]], where: str) -> None:
    known = {field.name: kind for kind in kinds for field in fields(kind) if field.init}
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise InvalidInput(f"{key}: no such key in {where}; {meant}known are {_listed(known)}")


def _listed(known: Mapping[str, type[Any]]) -> str:
    """A recipe's own keys by name, and the libraries' by the class that has them."""
    owners = {name: _library(kind, name) for name, kind in known.items()}
    own = [name for name, owner in owners.items() if owner is None]
    return ", ".join([*own, *(f"those of {owner}" for owner in dict.fromkeys(owners.values()) if owner)])


def _library(kind: type[Any], name: str) -> str | None:
    bases = (base for base in kind.__mro__ if base.__module__.partition(".")[0] in LIBRARIES)
    return next((base.__name__ for base in bases if name in getattr(base, "__dataclass_fields__", ())), None)
