"""rerank: best-of-N re-ranking of generated code.

    from rerank import Ranker, load_problems

    problem = load_problems("humaneval")[0]
    with Ranker() as ranker:
        candidates, ranking = ranker.rank(problem.public, ["    return False\\n", "    return True\\n"])
    print(candidates[ranking.best].program)

The names are those of `__init__.pyi`; each is loaded when it is first used, so importing rerank loads no model library.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
