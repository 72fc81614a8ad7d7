"""Ray on one machine: what a cluster writes is what one process writes, byte for byte, also when a worker is killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import ray
from typer.testing import CliRunner

import sandbox
from rerank.backends.interface import EngineOptions
from rerank.backends.ray_cluster import Crew, RayEngine, connect
from rerank.cli.app import app
from rerank.errors import SettingError, WorkerError

BODIES = ["    return x\n", "    return x - {}\n", "    if x == 1:\n        return x + {}\n    return -1\n",
          "    return x + {}\n", "    return {} + x\n"]  # fmt: skip
NUM_PROBLEMS = 24


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=3, object_store_memory=80 * 1024 * 1024, log_to_driver=False, include_dashboard=False)
    connect("ray")
    yield
    ray.shutdown()


@pytest.fixture
def problems(tmp_path):
    rows = [
        {
            "task_id": f"toy/{n}",
            "prompt": f'def add{n}(x):\n    """Add {n}.\n\n    >>> add{n}(1)\n    {n + 1}\n    """\n',
            "entry_point": f"add{n}",
            "test": f"def check(f):\n    assert f(0) == {n}\n    assert f(5) == {n + 5}\n",
        }
        for n in range(NUM_PROBLEMS)
    ]
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def candidates(tmp_path):
    rows = [{"task_id": f"toy/{n}", "completion": body.format(n)} for n in range(NUM_PROBLEMS) for body in BODIES]
    path = tmp_path / "candidates.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rerank(*arguments: object):
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output
    return result


def verdicts(run) -> list[tuple]:
    """Outcomes without what is measured and differs from run to run."""
    rows = [json.loads(line) for line in (run / "outcomes.jsonl").read_text().splitlines()]
    return [(row["key"], row["status"], row["reason"], row["mode"]) for row in rows]


class Killer:
    """Kills, by SIGKILL, a worker that has work in its hands, once the crew has collected `after` pieces."""

    def __init__(self, monkeypatch, after: int):
        self.killed: list[int] = []
        self._after = after
        step = Crew._step

        def stepping(crew: Crew):
            done = step(crew)
            self._after -= bool(done)
            victim = next((member for member in crew._members if member.ready and member.keys), None)
            if self._after <= 0 and not self.killed and victim:
                # Asked for at the front of the queue's end: the work it was given meanwhile dies with it.
                pid = ray.get(victim.actor.__ray_call__.remote(lambda _: os.getpid()))
                crew._dispatch()
                os.kill(pid, signal.SIGKILL)
                self.killed.append(pid)
            return done

        monkeypatch.setattr(Crew, "_step", stepping)


# Each worker imports torch, which takes longer than all the rest: the plain cases are for `pytest -m slow`.
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("mode", "killed"),
    [
        pytest.param("pairwise", True, id="pairwise, a worker killed"),
        pytest.param("pairwise", False, id="pairwise", marks=pytest.mark.slow),
        pytest.param("pointwise", True, id="pointwise, a worker killed", marks=pytest.mark.slow),
        pytest.param("pointwise", False, id="pointwise", marks=pytest.mark.slow),
    ],
)
def test_a_run_on_a_cluster_is_the_local_run(problems, candidates, tmp_path, tiny_model, monkeypatch, mode, killed):
    given = ("run", "--problems", problems, "--candidates", candidates, "--autorater", tiny_model, "--mode", mode,
             "--backend", "transformers")  # fmt: skip
    rerank(*given, "--out", tmp_path / "local")
    killer = Killer(monkeypatch, after=2) if killed else None
    rerank(*given, "--out", tmp_path / "cluster", "--cluster", "ray", "--replicas", 2, "--workers", 2)
    assert killer is None or len(killer.killed) == 1
    for name in ("candidates", "scores" if mode == "pointwise" else "comparisons", "rankings", "examples"):
        one, other = ((tmp_path / run / f"{name}.jsonl").read_bytes() for run in ("local", "cluster"))
        assert one == other, name
    assert verdicts(tmp_path / "local") == verdicts(tmp_path / "cluster")


@pytest.mark.timeout(300)
def test_generating_on_a_cluster_with_an_engine_killed(problems, tmp_path, tiny_model, monkeypatch):
    given = ("generate", "--problems", problems, "--generator", tiny_model, "--n", 2, "--max-tokens", 6,
             "--backend", "transformers")  # fmt: skip
    rerank(*given, "--out", tmp_path / "local")
    killer = Killer(monkeypatch, after=1)
    rerank(*given, "--out", tmp_path / "cluster", "--cluster", "ray", "--replicas", 2)
    assert len(killer.killed) == 1
    assert (tmp_path / "local/candidates.jsonl").read_bytes() == (tmp_path / "cluster/candidates.jsonl").read_bytes()


def test_programs_killed_with_their_worker_are_run_again(monkeypatch):
    killer = Killer(monkeypatch, after=3)
    jobs = [sandbox.Job(f"def f():\n    return {n}\n", f"assert f() == {n % 7}", "f") for n in range(30)]
    with sandbox.Pool(2, executor="ray") as pool:
        outcomes = list(pool.map(jobs))
    assert len(killer.killed) == 1
    assert [outcome.passed for outcome in outcomes] == [n < 7 for n in range(30)]


@pytest.fixture
def crew():
    class Worker:  # in a function: Ray sends it to the workers whole, who cannot import this module
        def open(self) -> str:
            return "open"

        def do(self, what: str) -> str:
            if what == "die":
                os._exit(1)
            if what.startswith("die once"):
                flag = Path(what.removeprefix("die once ")) / "died"
                if not flag.exists():
                    flag.touch()
                    os._exit(1)
            if what == "raise":
                raise SettingError("--such: mend it so")
            return what

    made = Crew(ray.remote(num_cpus=1)(Worker).remote, 2)
    yield made
    made.close()


def test_work_that_kills_every_worker_is_an_error_after_three(crew):
    def collect_all() -> None:
        while True:
            crew.collect()

    for key, what in enumerate(["a", "die", "b", "c"]):
        crew.submit(key, what)
    with pytest.raises(WorkerError, match="3 workers of the cluster died of one piece"):
        collect_all()


def test_work_that_killed_one_worker_is_done_by_the_next(crew, tmp_path):
    for key in range(6):
        crew.submit(key, f"die once {tmp_path}" if key == 1 else str(key))
    done: dict[int, str] = {}
    while len(done) < 6:
        done.update(crew.collect())
    assert done == {key: f"die once {tmp_path}" if key == 1 else str(key) for key in range(6)}


def test_what_work_raises_is_raised_here(crew):
    crew.submit(0, "raise")
    with pytest.raises(SettingError, match=r"^--such: mend it so$"):
        crew.collect()


def test_what_was_dropped_does_not_come_back(crew):
    for key in range(8):
        crew.submit(key, "old")
    crew.collect()
    crew.forget()
    crew.submit(9, "new")
    assert crew.collect() == [(9, "new")]


def test_a_model_that_cannot_be_loaded_is_the_callers_error(tmp_path):
    with pytest.raises(Exception, match="no-such") as error:
        RayEngine("transformers", str(tmp_path / "no-such"), EngineOptions(cluster="ray", replicas=1))
    assert error.type.__module__ == "rerank.errors"


def test_another_form_of_cluster_is_one_line(problems, candidates):
    given = ("run", "--problems", problems, "--candidates", candidates, "--autorater", "first", "--cluster", "slurm")
    result = CliRunner().invoke(app, [str(each) for each in given])
    assert result.exit_code == 2
    assert "--cluster slurm: ray or ray://HOST:PORT" in result.stderr


def test_the_plan_in_the_docs_is_what_its_command_prints():
    root = Path(__file__).parents[2]
    command = [sys.executable, "scripts/plan_cluster.py", "plan", "--rates", "results/cluster/rates.json"]
    sizes = ["--problems", "1000000", "--n", "100", "--gpus", "64"]
    printed = subprocess.run([*command, *sizes], cwd=root, capture_output=True, text=True, check=True).stdout
    assert printed.strip() in (root / "docs/cluster.md").read_text(encoding="utf-8")
