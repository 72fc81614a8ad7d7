import importlib.util
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytestmark = pytest.mark.filterwarnings(r"ignore:`\w*gradient_checkpointing\w*` is deprecated:FutureWarning")
SCRIPT = Path(__file__).parents[3] / "scripts" / "train_scorer.py"


def run(*arguments: object):
    spec = importlib.util.spec_from_file_location("train_scorer", SCRIPT)
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return CliRunner().invoke(script.app, [str(argument) for argument in arguments])


def test_a_scorer_from_one_command(base: Path, labels: Path, tmp_path: Path) -> None:
    small = ("--num-steps", 2, "--batch-size", 8, "--pack-tokens", 1024, "--rank", 2, "--num-evaluations", 1)
    result = run("--base", base, "--labels", labels, "--out", tmp_path, "--base-name", "tiny", "--seed", 3, *small)
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    card = json.loads((Path(summary["scorer"]) / "scorer.json").read_text())
    assert card["settings"]["seed"] == 3
    assert card["settings"]["dropout"] == 0.05
    assert summary["dev"] == card["dev"]
    assert json.loads((tmp_path / "scorer" / "adapter_config.json").read_text())["base_model_name_or_path"] == "tiny"
    assert str(base) not in (tmp_path / "scorer" / "scorer.json").read_text()
    again = run("--base", base, "--labels", labels, "--out", tmp_path, "--seed", 3, *small)
    assert (again.exit_code, "finished scorer; take another --out" in again.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "large"], "Error: --preset large: not one of small, flame, flame-rm, flame-opt-rm"),
        (["--mode", "both"], "'both' is not one of 'pointwise', 'joint', 'encoded-once'"),
        (["--pack-tokens", "1000"], "Error: --pack-tokens 1000: take a multiple of 128"),
        (["--batch-size", "1000000"], "the training split is too small for one step; lower --batch-size"),
    ],
)
def test_mistakes_are_one_sentence(
    base: Path, labels: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = run("--base", base, "--labels", labels, "--out", tmp_path, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
