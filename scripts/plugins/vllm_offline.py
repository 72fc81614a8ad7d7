"""Sample with vLLM in this process, without a server, and write each problem's best program in EvalPlus' form.

    python scripts/plugins/vllm_offline.py --model Qwen/Qwen2.5-Coder-1.5B-Instruct --out best.jsonl

For a generation script of your own: the three lines that matter are `Ranker(...)`, `ranker.rank(...)` and
`candidates[ranking.best]`. A whole experiment, with its table, is `rerank run --generator MODEL --backend vllm`.
Needs vllm and a GPU; the autorater runs on the CPU or beside vLLM in what --gpu-memory leaves.
"""

import argparse
from collections.abc import Iterator

from rerank import Ranker, ScoreSettings, load_problems
from rerank.errors import one_line
from rerank.generators import chat_request
from rerank.models.shipped import DEFAULT_AUTORATER
from rerank.store import Row, write_rows


def best_programs(arguments: argparse.Namespace) -> Iterator[Row]:
    """Each problem's best program, as EvalPlus' rows."""
    from vllm import LLM, SamplingParams

    problems = load_problems(arguments.problems)[: arguments.limit]
    llm = LLM(arguments.model, gpu_memory_utilization=arguments.gpu_memory)
    asked = [[{"role": "user", "content": chat_request(problem.public).text}] for problem in problems]
    sampling = SamplingParams(n=arguments.n, temperature=0.8, top_p=0.95, max_tokens=512, seed=arguments.seed)
    outputs = llm.chat(asked, sampling)
    with Ranker(ScoreSettings(arguments.autorater, backend="transformers")) as ranker:
        for problem, output in zip(problems, outputs, strict=True):
            candidates, ranking = ranker.rank(problem.public, [sample.text for sample in output.outputs])
            yield {"task_id": problem.task_id, "solution": candidates[ranking.best].program}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--problems", default="humaneval")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--n", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--autorater", default=DEFAULT_AUTORATER)
    parser.add_argument("--gpu-memory", type=float, default=0.7, help="share of the GPU that vLLM takes")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    with one_line():
        print(f"{write_rows(arguments.out, best_programs(arguments))} programs in {arguments.out}")


if __name__ == "__main__":
    main()
