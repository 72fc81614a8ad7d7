"""Best-of-N in ten lines: sample from any OpenAI-style server, keep the program that the autorater likes best.

python scripts/plugins/ten_lines.py http://localhost:8000/v1 MODEL problem.py     (needs `pip install openai`)
"""

import sys
from pathlib import Path

from openai import OpenAI

from rerank import PublicProblem, Ranker

url, model, file = sys.argv[1:4]
prompt = Path(file).read_text()
answers = OpenAI(base_url=url, api_key="none").chat.completions.create(
    model=model, n=8, temperature=0.8, messages=[{"role": "user", "content": f"Complete:\n```python\n{prompt}```"}]
)
name = prompt.rpartition("def ")[2].partition("(")[0]
with Ranker() as ranker:
    candidates, ranking = ranker.rank(
        PublicProblem(file, prompt, name), [choice.message.content or "" for choice in answers.choices]
    )
print(candidates[ranking.best].program)
