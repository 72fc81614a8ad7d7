"""What an operator wants to know, in Prometheus' text form. Each server has a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from rerank.server.ranking import Judged

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
_COUNTS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counts; a label is never taken from what a client sends."""

    def __init__(self) -> None:
        at = self._registry = CollectorRegistry()
        self.requests = Counter("rerank_requests", "Requests answered", ["path", "status"], registry=at)
        self.seconds = Histogram(
            "rerank_request_seconds", "From a request's headers to its answer", ["path"], buckets=_SECONDS, registry=at
        )
        self.in_flight = Gauge("rerank_requests_in_flight", "Requests between arrival and answer", registry=at)
        self.cancelled = Counter(
            "rerank_requests_cancelled", "Requests whose client left before the answer", registry=at
        )
        self.sampling_seconds = Histogram(
            "rerank_sampling_seconds", "Waiting for the upstream, a request", buckets=_SECONDS, registry=at
        )
        self.ranking_seconds = Histogram(
            "rerank_ranking_seconds", "Waiting for and doing the ranking, a request", buckets=_SECONDS, registry=at
        )
        self.batch_size = Histogram(
            "rerank_batch_requests", "Requests ranked together, seen by each of them", buckets=_COUNTS, registry=at
        )
        self.candidates = Counter("rerank_candidates", "Candidates ranked", registry=at)
        self.tokens = Counter("rerank_judged_tokens", "Prompt tokens that judging computed", registry=at)
        self.changed = Counter("rerank_choice_changed", "Rankings whose best was not the first sample", registry=at)

    def note(self, judged: Judged) -> None:
        self.batch_size.observe(judged.num_together)
        self.candidates.inc(len(judged.candidates))
        self.tokens.inc(judged.num_tokens)
        self.changed.inc(judged.best != 0)

    def text(self) -> bytes:
        return generate_latest(self._registry)
