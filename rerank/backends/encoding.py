"""Judgments and requests to token ids, for every engine that runs a tokenizer of its own.

A prompt's segments are tokenised one by one and joined, between the chat template's text before and after a user's
message. So equal segments are equal tokens, whatever stands beside them: engines share them by comparing tokens.
Text of a judgment can't forge the template's control tokens: `<|im_end|>` in a program stays seven ordinary tokens.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

from rerank.backends.interface import GenerationRequest
from rerank.errors import ModelError
from rerank.prompts import Prompt

_SENTINEL = "RERANK-USER-MESSAGE"
_CUT_MARK = "\n# ... (cut) ...\n"


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    tokens: tuple[int, ...]
    num_question: int  # tokens of its last segment and of the template after it
    num_cut: int = 0  # tokens taken out to fit the context

    @property
    def shown(self) -> tuple[int, ...]:
        """The tokens before the question."""
        return self.tokens[: len(self.tokens) - self.num_question]

    @property
    def reason(self) -> str:
        return f"shortened by {self.num_cut} tokens to fit the context" if self.num_cut else ""


class PromptEncoder:
    """A model's tokenizer and chat template, ready for many prompts."""

    def __init__(self, tokenizer: Any, *, model: str, max_prompt_tokens: int):
        self.tokenizer = tokenizer
        self._model = model
        self._max_prompt_tokens = max_prompt_tokens
        self._frame: tuple[list[int], list[int]] | None = None
        self._recent = lru_cache(maxsize=1024)(self._tokenise_content)
        self._kept: dict[str, tuple[int, ...]] = {}
        self._answer_ids = lru_cache(maxsize=16)(self._find_answer_ids)
        # A fast tokenizer that is at work must not be asked from another thread: its settings are set at each call.
        self._alone = threading.Lock()

    @property
    def has_chat_template(self) -> bool:
        return self.tokenizer.chat_template is not None

    def __call__(self, text: str) -> tuple[int, ...]:
        """The tokens of a segment."""
        return self._kept.get(text) or self._recent(text)

    def warm(self, texts: Iterable[str]) -> None:
        """Tokenise many segments at once, which a fast tokenizer does in parallel, and keep them for good."""
        self._kept.update(self._tokenise_new(texts))

    def _tokenise_new(self, texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
        new = [text for text in dict.fromkeys(texts) if text not in self._kept]
        if not new:
            return {}
        with self._alone:
            rows = self.tokenizer(new, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return dict(zip(new, map(tuple, rows), strict=True))

    @property
    def end(self) -> int:
        """The token that ends the model's turn."""
        if self.tokenizer.eos_token_id is None:
            raise ModelError(f"{self._model}: its tokenizer names no token that ends a turn; take another model")
        return int(self.tokenizer.eos_token_id)

    def answer_ids(self, answers: tuple[str, ...]) -> tuple[int, ...]:
        """The token of each answer. Raises ModelError where an answer is not exactly one token."""
        return self._answer_ids(answers)

    def _find_answer_ids(self, answers: tuple[str, ...]) -> tuple[int, ...]:
        ids = []
        for answer in answers:
            tokens = self._plain(answer)
            if len(tokens) != 1:
                raise ModelError(
                    f"{self._model}: the answer {answer!r} is {len(tokens)} tokens in its tokenizer, where one is "
                    "needed; take another model"
                )
            ids.append(tokens[0])
        if len(set(ids)) != len(ids):
            raise ModelError(f"{self._model}: the answers {', '.join(answers)} share a token; take another model")
        return tuple(ids)

    def encode(self, prompt: Prompt) -> EncodedPrompt:
        """The prompt's tokens, up to the model's turn.

        A prompt above the limit loses the middles of its longest segments, down to one common length: both programs
        of a pair are cut alike.
        """
        return self._framed([self(segment) for segment in prompt.segments])

    def encode_all(self, asked: Sequence[Prompt]) -> list[EncodedPrompt]:
        """`encode` of prompts that share segments: each distinct one is tokenised once, all of them at a time."""
        new = self._tokenise_new(segment for prompt in asked for segment in prompt.segments)
        return [self._framed([new.get(text) or self(text) for text in prompt.segments]) for prompt in asked]

    def _framed(self, segments: list[tuple[int, ...]]) -> EncodedPrompt:
        before, after = self._chat_frame()
        room = self._max_prompt_tokens - len(before) - len(after)
        length = sum(map(len, segments))
        num_cut = 0
        if length > room:
            segments = _cut_middles(segments, room, mark=self(_CUT_MARK))
            num_cut = length - sum(map(len, segments))
        tokens = tuple(chain(before, *segments, after))
        return EncodedPrompt(tokens, len(segments[-1]) + len(after), num_cut)

    def encode_request(self, request: GenerationRequest, *, max_tokens: int) -> list[int]:
        """A request's tokens. Raises ModelError where they leave no room for `max_tokens` more."""
        tokens = self.asked(request.text, is_chat=request.is_chat)
        if len(tokens) + max_tokens > self._max_prompt_tokens:
            raise ModelError(
                f"{self._model}: the prompt of {request.id} has {len(tokens)} tokens, and with --max-tokens "
                f"{max_tokens} that is more than the {self._max_prompt_tokens} the model may use; lower --max-tokens"
            )
        return tokens

    def asked(self, text: str, *, is_chat: bool) -> list[int]:
        """The tokens of a user's message up to the model's turn, or of a text to be continued."""
        if is_chat:
            before, after = self._chat_frame()
            return [*before, *self(text), *after]
        return self._encode(text)

    def encode_pair(self, text: str, answer: str, *, is_chat: bool) -> tuple[list[int], list[int]] | None:
        """The tokens of a text and of its given answer; None where they do not fit the context together."""
        tokens, answered = self.asked(text, is_chat=is_chat), list(self(answer))
        return (tokens, answered) if len(tokens) + len(answered) <= self._max_prompt_tokens else None

    def _chat_frame(self) -> tuple[list[int], list[int]]:
        """Tokens of the template before and after a user's message, the start of the model's turn included."""
        if self._frame is None:
            if not self.has_chat_template:
                raise ModelError(f"{self._model}: its tokenizer has no chat template; take an instruction-tuned model")
            try:
                text = self.tokenizer.apply_chat_template(
                    [{"role": "user", "content": _SENTINEL}], tokenize=False, add_generation_prompt=True
                )
            except Exception as error:  # a template is a program of the model's author: anything may come out of it
                raise ModelError(f"{self._model}: its chat template fails ({error}); take another model") from error
            before, found, after = text.partition(_SENTINEL)
            if not found or _SENTINEL in after:
                raise ModelError(f"{self._model}: its chat template does not show the user's message exactly once")
            # No special tokens added: the template writes its own start token where the model wants one.
            self._frame = (
                self._encode(before, add_special_tokens=False),
                self._encode(after, add_special_tokens=False),
            )
        return self._frame

    def _plain(self, text: str) -> list[int]:
        return self._encode(text, add_special_tokens=False, split_special_tokens=True)

    def _encode(self, text: str, **options: bool) -> list[int]:
        with self._alone:
            return list(self.tokenizer.encode(text, **options))

    def _tokenise_content(self, text: str) -> tuple[int, ...]:
        return tuple(self._plain(text))


def _cut_middles(segments: Sequence[tuple[int, ...]], room: int, *, mark: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shorten the segments above a common length so that all fit: the largest such length."""
    low, high = 0, max(map(len, segments))  # invariant: `low` fits
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(len(segment), middle) for segment in segments) <= room:
            low = middle
        else:
            high = middle - 1
    return [segment if len(segment) <= low else _cut_middle(segment, low, mark) for segment in segments]


def _cut_middle(segment: tuple[int, ...], length: int, mark: tuple[int, ...]) -> tuple[int, ...]:
    kept = max(0, length - len(mark))
    tail = kept // 2
    return (segment[: kept - tail] + mark + segment[len(segment) - tail :])[:length]
