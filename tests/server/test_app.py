"""The server, over real sockets: OpenAI's own client, an upstream that fails in every way, clients that misbehave."""

import concurrent.futures
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import openai
import pytest
from servers import FakeUpstream, chat_answer, serving, text_answer
from typer.testing import CliRunner

from rerank.backends.interface import EngineOptions
from rerank.cli.app import app
from rerank.errors import MissingError, ModelError, SettingError, WorkerError
from rerank.runs.ranker import Ranker
from rerank.runs.settings import ScoreSettings
from rerank.selection.selectors import SELECTORS
from rerank.server import gate
from rerank.server.app import Limits
from rerank.server.ranking import Task, find_problem, read_task
from rerank.server.service import ServeSettings, check

PROMPT = 'def double(x):\n    """Twice x.\n\n    >>> double(3)\n    6\n    """\n'
LONG_WRONG = "    total = x + 2\n    return total\n"
SHORT_RIGHT = "    return 2 * x\n"
MESSAGES = [{"role": "user", "content": f"Complete:\n```python\n{PROMPT}```"}]


@pytest.fixture
def make_upstream():
    made: list[FakeUpstream] = []

    def make(reply) -> FakeUpstream:
        made.append(FakeUpstream(reply))
        return made[-1]

    yield make
    for each in made:
        each.close()


def client(url: str, **options) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=options.pop("api_key", "none"), max_retries=0, **options)


def metrics(url: str) -> dict[str, float]:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_openais_client_gets_the_best_of_n(make_upstream):
    upstream = make_upstream(lambda _, body: chat_answer(*[LONG_WRONG, SHORT_RIGHT, "no idea"][: body.get("n", 1)]))
    with serving(upstream.url, num_samples=3) as url, client(url) as openai_client:
        found = openai_client.chat.completions.create(model="m", messages=MESSAGES)
        assert found.choices[0].message.content == SHORT_RIGHT
        assert len(found.choices) == 1
        assert found.choices[0].index == 0
        extra = found.model_extra["rerank"]
        assert extra["best"] == 1
        assert extra["selector"] == "shortest"
        assert [(each["index"], each["parses"]) for each in extra["scores"]] == [(1, True), (0, True), (2, False)]
        assert found.usage.completion_tokens == 15  # all three were paid for
        options = {"rerank": {"return_candidates": True}}
        found = openai_client.chat.completions.create(model="m", messages=MESSAGES, n=2, extra_body=options)
        assert found.model_extra["rerank"]["candidates"] == [SHORT_RIGHT, LONG_WRONG]
        assert [body["n"] for _, body in upstream.asked] == [3, 2]
        assert metrics(url)["rerank_choice_changed_total"] == 2


def test_the_best_is_streamed_at_the_end(make_upstream):
    upstream = make_upstream(lambda *_: chat_answer(LONG_WRONG, SHORT_RIGHT))
    with serving(upstream.url, num_samples=2) as url, client(url) as openai_client:
        chunks = list(
            openai_client.chat.completions.create(
                model="m", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
            )
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == SHORT_RIGHT
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices] == [None, "stop"]
        assert chunks[1].model_extra["rerank"]["best"] == 1
        assert chunks[-1].usage.prompt_tokens == 7
        assert "stream" not in upstream.asked[0][1]


def test_completions_continue_the_prompt(make_upstream):
    upstream = make_upstream(lambda *_: text_answer(LONG_WRONG, SHORT_RIGHT))
    with serving(upstream.url, num_samples=2) as url, client(url) as openai_client:
        found = openai_client.completions.create(model="m", prompt=PROMPT, max_tokens=20)
        assert found.choices[0].text == SHORT_RIGHT
        assert upstream.asked[0][0] == "/v1/completions"
        assert upstream.asked[0][1]["max_tokens"] == 20
        chunks = list(openai_client.completions.create(model="m", prompt=[PROMPT], stream=True))
        assert "".join(chunk.choices[0].text for chunk in chunks) == SHORT_RIGHT


def test_log_probability_is_asked_for_and_kept_from_who_did_not(make_upstream):
    def reply(_, body):
        assert body["logprobs"] is True
        answer = chat_answer("    return 2 * x\n", "    return x + x\n")
        for choice, value in zip(answer["choices"], (-2.0, -1.0), strict=True):
            choice["logprobs"] = {"content": [{"token": "a", "logprob": value}]}
        return answer

    upstream = make_upstream(reply)
    with serving(upstream.url, num_samples=2, autorater="log-probability") as url, client(url) as openai_client:
        found = openai_client.chat.completions.create(model="m", messages=MESSAGES)
        assert found.choices[0].message.content == "    return x + x\n"
        assert found.choices[0].logprobs is None
        assert found.model_extra["rerank"]["scores"][0]["value"] == -1.0


def test_an_upstream_that_ignores_n_is_asked_again_with_other_seeds(make_upstream):
    upstream = make_upstream(lambda _, body: chat_answer(f"    return {body['seed']}\n"))
    with serving(upstream.url, num_samples=3) as url, client(url) as openai_client:
        found = openai_client.chat.completions.create(model="m", messages=MESSAGES, seed=5)
        assert len(found.model_extra["rerank"]["scores"]) == 3
        assert sorted(body["seed"] for _, body in upstream.asked) == [5, 6, 7]
        assert found.usage.completion_tokens == 15
        assert found.usage.prompt_tokens == 7


def test_fields_go_on_to_the_upstream_and_greedy_is_sampled_once(make_upstream):
    upstream = make_upstream(lambda *_: chat_answer(SHORT_RIGHT))
    with serving(upstream.url, num_samples=4) as url, client(url) as openai_client:
        openai_client.chat.completions.create(model="m", messages=MESSAGES, temperature=0, extra_body={"top_k": 3})
    [(_, body)] = upstream.asked
    assert body == {"model": "m", "messages": MESSAGES, "temperature": 0, "top_p": 0.95, "top_k": 3}


UPSTREAM_FAILURES = [
    ("its own refusal", (400, {"error": {"message": "context is too long"}}), 400, "context is too long"),
    ("no such model", (404, {"error": {"message": "no model m"}}), 404, "no model m"),
    ("busy", (429, {"error": "slow down"}), 429, "slow down"),
    ("a wrong key", (401, {}), 502, "OPENAI_API_KEY"),
    ("broken", (500, {"error": {"message": "out of memory"}}), 502, "out of memory"),
    ("elsewhere", (307, {}), 502, "status 307"),
    ("not JSON", b"<html>", 502, "without choices"),
    ("no choices", {"choices": []}, 502, "without choices"),
    ("choices of another kind", {"choices": [3]}, 502, "without choices"),
]


@pytest.mark.parametrize(("answer", "status", "words"), [row[1:] for row in UPSTREAM_FAILURES],
                         ids=[row[0] for row in UPSTREAM_FAILURES])  # fmt: skip
def test_what_the_upstream_says_comes_through_in_one_line(make_upstream, answer, status, words):
    upstream = make_upstream(lambda *_: answer)
    with serving(upstream.url) as url:
        response = httpx.post(f"{url}/v1/chat/completions", json={"messages": MESSAGES})
        assert response.status_code == status
        assert words in response.json()["error"]["message"]
        assert ("retry-after" in response.headers) == (status == 429)


def test_a_killed_upstream_is_502_and_the_server_lives(make_upstream):
    upstream = make_upstream(lambda *_: chat_answer(SHORT_RIGHT, SHORT_RIGHT))
    with serving(upstream.url, num_samples=2) as url, client(url) as openai_client:
        openai_client.chat.completions.create(model="m", messages=MESSAGES)
        upstream.close()
        with pytest.raises(openai.APIStatusError, match="is it up") as error:
            openai_client.chat.completions.create(model="m", messages=MESSAGES)
        assert error.value.status_code == 502
        assert httpx.get(f"{url}/health").json()["in_flight"] == 0
        ranked = httpx.post(f"{url}/v1/rerank", json={"query": PROMPT, "documents": [SHORT_RIGHT]})
        assert ranked.status_code == 200


def test_odd_but_legal_answers_of_an_upstream_do_no_harm(make_upstream):
    choices = [{"message": None}, {}, {"message": {"content": None, "tool_calls": []}}, {"message": {"content": 3}}]
    upstream = make_upstream(lambda *_: {"choices": choices, "usage": None, "id": None})
    with serving(upstream.url, num_samples=4) as url:
        found = httpx.post(f"{url}/v1/chat/completions", json={"messages": MESSAGES}).json()
        assert found["rerank"]["best"] == 0  # none is a program: the first that was sampled
        assert found["id"].startswith("chatcmpl-")


def test_rerank_and_score_in_the_shapes_that_clients_use():
    with serving() as url:
        wanted = {"model": "any", "query": PROMPT, "documents": [LONG_WRONG, {"text": SHORT_RIGHT}, "???"]}
        for path in ("/rerank", "/v1/rerank", "/v2/rerank"):
            found = httpx.post(url + path, json=wanted).json()
            assert [each["index"] for each in found["results"]] == [1, 0, 2]
            assert found["results"][0]["document"] == {"text": SHORT_RIGHT}
            numbers = [each["relevance_score"] for each in found["results"]]
            assert numbers == sorted(numbers, reverse=True)
        found = httpx.post(f"{url}/v1/rerank", json={**wanted, "top_n": 1, "return_documents": False}).json()
        assert [each["document"] for each in found["results"]] == [None]
        one_to_many = {"text_1": PROMPT, "text_2": [LONG_WRONG, SHORT_RIGHT]}
        for path in ("/score", "/v1/score"):
            data = httpx.post(url + path, json=one_to_many).json()["data"]
            assert [each["index"] for each in data] == [0, 1]
            assert data[0]["score"] < data[1]["score"]
        other = PROMPT.replace("double", "twice")
        pairs = {"text_1": [PROMPT, other, PROMPT], "text_2": [LONG_WRONG, "    return 1\n", SHORT_RIGHT]}
        data = httpx.post(f"{url}/v1/score", json=pairs).json()["data"]
        assert [each["rerank"]["value"] for each in data] == [
            -len(problem + text) for problem, text in zip(pairs["text_1"], pairs["text_2"], strict=True)
        ]
        assert [each["id"] for each in httpx.get(f"{url}/v1/models").json()["data"]] == ["shortest"]


RERANK, SCORE, CHAT, TEXT = "/v1/rerank", "/v1/score", "/v1/chat/completions", "/v1/completions"
BAD_REQUESTS = [
    ("n is 0", CHAT, {"messages": MESSAGES, "n": 0}, 400, "n: "),
    ("n is 10,000", CHAT, {"messages": MESSAGES, "n": 10_000}, 400, "--max-n"),
    ("n is a text", CHAT, {"messages": MESSAGES, "n": "8"}, 400, "n: "),
    ("n is true", CHAT, {"messages": MESSAGES, "n": True}, 400, "n: "),
    ("no messages", CHAT, {"messages": []}, 400, "messages: "),
    ("a message of another kind", CHAT, {"messages": ["hi"]}, 400, "messages.0: "),
    ("a bad option of ours", CHAT, {"messages": MESSAGES, "rerank": {"problen": "x"}}, 400, "rerank.problen: unknown"),
    ("temperature is endless", CHAT, b'{"messages": [{"role": "user"}], "temperature": Infinity}', 400, "temperature"),
    ("two prompts", TEXT, {"prompt": ["a", "b"]}, 400, "prompt"),
    ("tokens for a prompt", TEXT, {"prompt": [1, 2]}, 400, "prompt"),
    ("no candidates", RERANK, {"query": PROMPT, "documents": []}, 400, "documents: "),
    ("too many candidates", RERANK, {"query": PROMPT, "documents": ["a"] * 129}, 400, "--max-n"),
    ("a candidate of another kind", RERANK, {"query": PROMPT, "documents": ["a", 3]}, 400, "documents.1"),
    ("an unknown field", RERANK, {"query": PROMPT, "documents": ["a"], "rank_fields": []}, 400, "rank_fields: unknown"),
    ("a text too long", RERANK, {"query": "x" * 70_000, "documents": ["a"]}, 400, "query: "),
    ("a lone surrogate", RERANK, b'{"query": "\\ud800", "documents": ["a"]}', 400, "query: "),
    ("lengths that differ", SCORE, {"text_1": ["a", "b"], "text_2": ["c", "d", "e"]}, 400, "text_1"),
    ("not JSON", RERANK, b"{", 400, "not JSON"),
    ("not an object", RERANK, b"[]", 400, "dictionary"),
    ("not UTF-8", RERANK, b'{"query": "\xff"}', 400, "UTF-8"),
    ("nested too deeply", RERANK, b"[" * 100_000, 400, "not JSON"),
    ("a huge body", RERANK, b'"' + b"x" * 5_000_000, 413, "--max-body"),
    ("an empty body", RERANK, b"", 400, ""),
    ("nowhere", "/v1/nothing", {}, 404, "Not Found"),
]


@pytest.fixture(scope="module")
def rank_only():
    with serving(num_samples=2) as url:
        yield url


@pytest.fixture(scope="module")
def with_upstream():
    upstream = FakeUpstream(lambda *_: chat_answer(SHORT_RIGHT, LONG_WRONG))
    with serving(upstream.url, num_samples=2) as url:
        yield url
    upstream.close()


@pytest.mark.parametrize(("path", "body", "status", "words"), [row[1:] for row in BAD_REQUESTS],
                         ids=[row[0] for row in BAD_REQUESTS])  # fmt: skip
def test_a_bad_request_gets_its_status_and_one_line(with_upstream, path, body, status, words):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = httpx.post(with_upstream + path, content=content, headers={"content-type": "application/json"})
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert words in error["message"]
    assert "\n" not in error["message"]
    assert error["code"] == status
    assert httpx.get(f"{with_upstream}/health").json()["in_flight"] == 0


def test_a_body_that_is_not_announced_as_json_is_refused(rank_only):
    # What a web page may send to another origin without asking.
    response = httpx.post(f"{rank_only}/v1/rerank", content=b"{}", headers={"content-type": "text/plain"})
    assert response.status_code == 415


def test_without_an_upstream_sampling_is_404_and_says_why(rank_only):
    response = httpx.post(f"{rank_only}/v1/chat/completions", json={"messages": MESSAGES})
    assert response.status_code == 404
    assert "--upstream" in response.json()["error"]["message"]


def test_a_key_is_asked_for(make_upstream):
    upstream = make_upstream(lambda *_: chat_answer(SHORT_RIGHT))
    with serving(upstream.url, num_samples=1, api_key="secret-ü") as url:
        with client(url, api_key="wrong") as stranger, pytest.raises(openai.AuthenticationError, match="API key"):
            stranger.chat.completions.create(model="m", messages=MESSAGES)
        assert httpx.get(f"{url}/v1/models").status_code == 401
        assert httpx.get(f"{url}/health").status_code == 200
        headers = {"authorization": "Bearer secret-ü".encode()}
        assert httpx.get(f"{url}/v1/models", headers=headers).status_code == 200
        assert all("secret" not in str(each) for each in upstream.headers)
    assert upstream.asked == []


def test_a_full_queue_answers_429_and_the_rest_still_works(make_upstream):
    go_on = threading.Event()

    def reply(*_):
        go_on.wait(20)
        return chat_answer(SHORT_RIGHT)

    upstream = make_upstream(reply)
    with serving(upstream.url, num_samples=1, max_queue=2) as url, concurrent.futures.ThreadPoolExecutor() as pool:
        first = [pool.submit(httpx.post, f"{url}{CHAT}", json={"messages": MESSAGES}, timeout=30) for _ in range(2)]
        while httpx.get(f"{url}/health").json()["in_flight"] < 2:
            time.sleep(0.01)
        refused = httpx.post(f"{url}{CHAT}", json={"messages": MESSAGES})
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert "2 requests" in refused.json()["error"]["message"]
        go_on.set()
        assert [each.result().status_code for each in first] == [200, 200]
        assert httpx.post(f"{url}{CHAT}", json={"messages": MESSAGES}).status_code == 200


def test_a_request_that_takes_too_long_is_504(make_upstream):
    go_on = threading.Event()
    upstream = make_upstream(lambda *_: go_on.wait(20) and chat_answer(SHORT_RIGHT))
    with serving(upstream.url, timeout_s=0.3) as url:
        response = httpx.post(f"{url}{CHAT}", json={"messages": MESSAGES})
        assert response.status_code == 504
        assert "error" in response.json()
        assert httpx.get(f"{url}/health").json()["in_flight"] == 0
    go_on.set()


def test_when_the_client_leaves_its_work_is_cancelled(make_upstream):
    go_on = threading.Event()
    upstream = make_upstream(lambda *_: go_on.wait(20) and chat_answer(SHORT_RIGHT))
    with serving(upstream.url, num_samples=1) as url:
        with contextlib.suppress(httpx.ReadTimeout):
            httpx.post(f"{url}{CHAT}", json={"messages": MESSAGES}, timeout=0.3)
        deadline = time.monotonic() + 5
        while httpx.get(f"{url}/health").json()["in_flight"] and time.monotonic() < deadline:
            time.sleep(0.01)
        found = metrics(url)
        assert found["rerank_requests_cancelled_total"] == 1
        assert found["rerank_requests_in_flight"] == 0
        assert len(upstream.asked) == 1
        assert found["rerank_candidates_total"] == 0
    go_on.set()


def test_a_client_that_hangs_holds_up_nobody(rank_only, monkeypatch):
    monkeypatch.setattr(gate, "_BODY_S", 0.5)
    host, port = rank_only.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as hanging:
        hanging.sendall(
            b"POST /v1/rerank HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"
        )
        served = httpx.post(f"{rank_only}/v1/rerank", json={"query": PROMPT, "documents": [SHORT_RIGHT]})
        assert served.status_code == 200
        assert b"408" in hanging.recv(1000).split(b"\r\n")[0]
    assert httpx.get(f"{rank_only}/health").json()["in_flight"] == 0


def test_concurrent_requests_share_batches_and_are_not_crossed(tiny_model):
    def problem(number: int) -> dict:
        bodies = [f"    return x + {number}\n", f"    return x * {number}\n", f"    y = {number}\n    return y\n"]
        return {"query": f'def f{number}(x):\n    """Problem {number}."""\n', "documents": bodies}

    def ask(number: int) -> list[dict]:
        answer = httpx.post(f"{url}/v1/rerank", json=problem(number), timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()["results"]

    with serving(autorater=str(tiny_model)) as url:
        alone = [ask(number) for number in range(12)]
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            together = list(pool.map(ask, range(12)))
        found = metrics(url)
    for number, results in enumerate(together):
        assert results == alone[number]  # to the last bit
        assert all(str(number) in each["document"]["text"] for each in results)
        assert all(0 < each["relevance_score"] < 1 for each in results)
    assert found['rerank_batch_requests_bucket{le="1.0"}'] < found["rerank_batch_requests_count"]
    assert found["rerank_judged_tokens_total"] > 0


def test_pairwise_tournaments_too(tiny_model):
    with serving(autorater=str(tiny_model), mode="pairwise") as url:
        wanted = {"query": PROMPT, "documents": [LONG_WRONG, SHORT_RIGHT, "???"]}
        found = httpx.post(f"{url}/v1/rerank", json=wanted, timeout=60).json()
        assert found["results"][-1]["index"] == 2
        assert found["results"][0]["rerank"]["value"] > 0.5 > found["results"][1]["rerank"]["value"]


def test_a_model_in_this_process_samples(tiny_model):
    with serving(str(tiny_model), num_samples=3) as url, client(url, timeout=60) as openai_client:
        asked = {"model": "any", "messages": [{"role": "system", "content": "Be brief."}, *MESSAGES], "max_tokens": 6}
        first = openai_client.chat.completions.create(**asked, seed=1)
        again = openai_client.chat.completions.create(**asked, seed=1)
        other = openai_client.chat.completions.create(**asked, seed=2)
        assert first.choices == again.choices != other.choices
        assert len(first.model_extra["rerank"]["scores"]) == 3
        assert 0 < first.usage.completion_tokens <= 18
        assert openai_client.completions.create(model="any", prompt=PROMPT, max_tokens=4).choices[0].text
        for changes, words in [
            ({"tools": []}, "tools"),
            ({"messages": [*MESSAGES, {"role": "assistant", "content": "x"}]}, "one user message"),
            ({"max_tokens": 5000}, "lower --max-tokens"),
        ]:
            with pytest.raises(openai.BadRequestError, match=words):
                openai_client.chat.completions.create(**{**asked, **changes})


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (MissingError("http://judge: no answer in 5 tries"), 502, "no answer in 5 tries"),
        (ModelError("m: not enough memory for one prompt"), 400, "not enough memory"),
        (WorkerError("a secret of ours"), 500, "its log says where"),
    ],
)
def test_a_judge_that_fails_is_said_and_the_server_lives(monkeypatch, error, status, words):
    rank_many = Ranker.rank_many

    def failing(self, tasks):
        if any("boom" in problem.prompt for problem, _ in tasks):
            raise error
        return rank_many(self, tasks)

    monkeypatch.setattr(Ranker, "rank_many", failing)
    with serving() as url:
        broken = httpx.post(f"{url}/v1/rerank", json={"query": "boom", "documents": ["x"]})
        assert broken.status_code == status
        assert words in broken.json()["error"]["message"]
        assert "secret" not in broken.text
        assert httpx.post(f"{url}/v1/rerank", json={"query": PROMPT, "documents": ["x"]}).status_code == 200


def test_nothing_is_executed_unless_asked_for(monkeypatch):
    import sandbox

    def forbidden(*_: object, **__: object):
        raise AssertionError("executed")

    wanted = {"query": PROMPT, "documents": ["    return 3\n", "    return x + x + 0\n", "???"]}
    with serving(execute=True) as url:
        found = httpx.post(f"{url}/v1/rerank", json=wanted, timeout=60).json()["results"]
        assert [(each["index"], each["rerank"]["examples"]) for each in found] == [(1, 1.0), (0, 0.0), (2, None)]
    monkeypatch.setattr(sandbox, "Pool", forbidden)
    with serving() as url:
        found = httpx.post(f"{url}/v1/rerank", json=wanted, timeout=60).json()["results"]
        assert [(each["index"], each["rerank"]["examples"]) for each in found] == [(0, None), (1, None), (2, None)]


@pytest.mark.parametrize("name", [name for name, selector in SELECTORS.items() if selector.is_autorater])
def test_what_runs_candidates_or_lacks_its_evidence_is_refused_at_the_start(name):
    selector = SELECTORS[name]
    settings = ServeSettings(ScoreSettings(name), EngineOptions(), upstream=None, execute=False, limits=Limits())
    if selector.needs & {"tests", "likelihoods"}:
        for execute in (False, True):
            with pytest.raises(SettingError, match=f"--autorater {re.escape(name)}: needs"):
                check(replace(settings, execute=execute))
        return
    if selector.executes:
        with pytest.raises(SettingError, match="--execute"):
            check(settings)
    else:
        assert name in ("random", "first", "shortest", "log-probability")
        check(settings)
    check(replace(settings, execute=True))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--autorater", "examples"], "--execute"),
        (["--autorater", "codet"], "--autorater codet: needs written tests"),
        (["--autorater", "first", "--host", "0.0.0.0"], "--api-key"),
        (["--autorater", "first", "--n", "9", "--max-n", "8"], "--max-n"),
        (["--autorater", "first", "--upstream", "ftp://somewhere"], "--upstream ftp://somewhere"),
        (["--autorater", "no/such-model"], "no/such-model"),
    ],
)
def test_settings_that_cannot_be_are_one_line(arguments, words):
    result = CliRunner().invoke(app, ["serve", "--port", "0", *arguments])
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_a_taken_port_is_one_line(rank_only):
    result = CliRunner().invoke(app, ["serve", "--autorater", "first", "--port", rank_only.rpartition(":")[2]])
    assert result.exit_code == 2
    assert "cannot listen" in result.stderr


def test_the_command_serves_and_stops_in_order(make_upstream):
    upstream = make_upstream(lambda *_: chat_answer(LONG_WRONG, SHORT_RIGHT))
    command = [sys.executable, "-m", "rerank", "serve", "--upstream", upstream.url, "--n", "2", "--autorater"]
    environment = {**os.environ, "RERANK_API_KEY": "key", "OPENAI_API_KEY": "upstreams-own"}
    with subprocess.Popen([*command, "shortest", "--port", "0"], stderr=subprocess.PIPE, text=True,
                          env=environment) as process:  # fmt: skip
        assert process.stderr is not None
        line = process.stderr.readline()
        url = line.split()[2].removesuffix("/v1")
        with client(url, api_key="key") as openai_client:
            found = openai_client.chat.completions.create(model="m", messages=MESSAGES)
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert found.choices[0].message.content == SHORT_RIGHT
    assert upstream.headers[0]["Authorization"] == "Bearer upstreams-own"
    assert process.returncode == -signal.SIGTERM
    assert rest == ""


PROBLEMS = [
    ("code", PROMPT, [], ("function", "double", PROMPT)),
    ("a bare signature", "def f(x):", [], ("function", "f", "def f(x):")),
    ("the one block of a message", MESSAGES[0]["content"], [], ("function", "double", PROMPT)),
    ("a block with a body", "Fix this:\n```\ndef f(x):\n    return y\n```", [], ("text", "f", None)),
    ("two blocks", f"```\n{PROMPT}```\nlike\n```\ndef g(): pass\n```", [], ("text", "g", None)),
    ("words that name no function", "Add.", ["def a(): pass\ndef main(): pass", "def main(): return 1"],
     ("text", "main", None)),
    ("nothing at all", "", ["?"], ("text", "solution", None)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "solutions", "wanted"), [row[1:] for row in PROBLEMS], ids=[row[0] for row in PROBLEMS]
)
def test_the_problem_that_a_text_states(text, solutions, wanted):
    found = find_problem(text, solutions)
    assert (found.prompt_kind, found.entry_point, found.prompt) == (*wanted[:2], wanted[2] or text)


def test_a_prompt_in_the_middle_of_a_body_belongs_to_its_continuations():
    task = Task("def f(x):\n    y = 2 *", (" x\n    return y\n",), continues=True)
    problem, [candidate] = read_task(task)
    assert problem.prompt_kind == "text"
    assert candidate.program == "def f(x):\n    y = 2 * x\n    return y\n"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_under_load_nothing_is_lost_or_crossed():
    script = Path(__file__).parents[2] / "scripts" / "bench_server.py"
    done = subprocess.run([sys.executable, script, "--clients", "16", "--seconds", "5"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
