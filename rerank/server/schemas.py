"""What requests may hold and what answers hold: read by the routes, and published as /openapi.json.

Types are strict (`"8"` is no number) and numbers finite. A field that the server does not read itself goes on to the
upstream with the request, where there is one behind a URL; in `rerank` and in requests to rank, it is an error.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from rerank.server.ranking import MAX_TEXT_CHARS

_CLOSED = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_OPEN = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)
Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
EntryPoint = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,199}$")]


class RerankOptions(BaseModel):
    """How to judge; the request field `rerank` (`extra_body={"rerank": {...}}` in the OpenAI client)."""

    model_config = _CLOSED
    problem: Text | None = Field(
        default=None, description="What the autorater is shown. Default: the last user message."
    )
    entry_point: EntryPoint | None = Field(
        default=None, description="The wanted function. Default: found in the problem."
    )
    return_candidates: bool = Field(
        default=False, description="Put every candidate's text into the answer, best first."
    )


class StreamOptions(BaseModel):
    model_config = _OPEN
    include_usage: bool = False


class Sampling(BaseModel):
    """What both ways of asking for text have in common. `n` is how many are sampled; the best one comes back."""

    model_config = _OPEN
    model: str = Field(default="", max_length=1000)
    n: int | None = Field(default=None, ge=1, description="Candidates to sample. Default: the server's --n.")
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Default: 0.8. At 0 one candidate is sampled."
    )
    top_p: float | None = Field(default=None, ge=0, le=1, description="Default: 0.95.")
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    stream: bool | None = Field(default=None, description="The best candidate as server-sent events, once it is known.")
    stream_options: StreamOptions | None = None
    rerank: RerankOptions = RerankOptions()


class ContentPart(BaseModel):
    model_config = _OPEN
    type: str
    text: str | None = None


class Message(BaseModel):
    model_config = _OPEN
    role: str = Field(max_length=100)
    content: str | list[ContentPart] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content or () if part.text)


class ChatRequest(Sampling):
    """As OpenAI's; `rerank` is ours."""

    messages: list[Message] = Field(min_length=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)


class CompletionRequest(Sampling):
    """As OpenAI's, for one prompt; `rerank` is ours."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)]
    max_tokens: int | None = Field(default=None, ge=1)

    @property
    def text(self) -> str:
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]


class Document(BaseModel):
    model_config = _CLOSED
    text: Text


class RerankRequest(BaseModel):
    """As Cohere's, Jina's and vLLM's: the problem is the query, candidates are documents."""

    model_config = _CLOSED
    model: str = Field(default="", max_length=1000, description="Not read: the server has one autorater.")
    query: Text
    documents: list[Text | Document] = Field(min_length=1)
    top_n: int | None = Field(default=None, ge=1, description="How many results to return. Default: all.")
    return_documents: bool = True
    entry_point: EntryPoint | None = Field(
        default=None, description="The wanted function. Default: found in the query."
    )


class ScoreRequest(BaseModel):
    """As vLLM's: one problem and its candidates, or as many problems as candidates, pair by pair."""

    model_config = _CLOSED
    model: str = Field(default="", max_length=1000, description="Not read: the server has one autorater.")
    text_1: Text | Annotated[list[Text], Field(min_length=1)]
    text_2: Text | Annotated[list[Text], Field(min_length=1)]
    entry_point: EntryPoint | None = None


# Answers


class ScoredCandidate(BaseModel):
    index: int = Field(description="Place among the candidates as they were sampled or sent, from 0.")
    value: float | None = Field(description="What the selector ranked by, higher is better; null: unscored.")
    probability: float | None = Field(description="That the program is right, where a pointwise scorer judged.")
    parses: bool = Field(description="Whether a Python program was found in the text.")
    examples: float | None = Field(description="Share of the prompt's own examples passed; null: not run, or none.")


class RerankField(BaseModel):
    """What came of re-ranking; the answer's extra field `rerank`."""

    selector: str
    best: int = Field(description="Index of the candidate that is the answer.")
    scores: list[ScoredCandidate] = Field(description="Every candidate, best first.")
    judged_tokens: int = Field(description="Prompt tokens that judging computed.")
    candidates: list[str] | None = Field(default=None, description="Their texts, best first, if asked for.")


class Completion(BaseModel):
    """The upstream's answer with its best choice only; `usage` counts all candidates."""

    model_config = ConfigDict(extra="allow")
    id: str
    object: str
    created: int
    model: str
    choices: list[dict[str, Any]] = Field(min_length=1, max_length=1)
    usage: dict[str, Any]
    rerank: RerankField


class ReturnedDocument(BaseModel):
    text: str


class RerankResult(BaseModel):
    index: int
    relevance_score: float = Field(
        description="The probability that the program is right (pointwise), else the selector's value; unscored: 0. "
        "Never above the one before. `rerank` holds what was judged."
    )
    document: ReturnedDocument | None = None
    rerank: ScoredCandidate


class Usage(BaseModel):
    total_tokens: int
    prompt_tokens: int


class RerankAnswer(BaseModel):
    id: str
    model: str
    results: list[RerankResult]
    usage: Usage


class ScoreResult(BaseModel):
    index: int
    object: Literal["score"] = "score"
    score: float
    rerank: ScoredCandidate


class ScoreAnswer(BaseModel):
    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[ScoreResult]
    usage: Usage


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class Models(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


class Health(BaseModel):
    status: Literal["ok"] = "ok"
    autorater: str
    upstream: str | None
    in_flight: int
    max_queue: int


class Problem(BaseModel):
    message: str
    type: str
    param: str | None
    code: int


class ErrorAnswer(BaseModel):
    error: Problem
