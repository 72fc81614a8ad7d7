"""The page in a real headless Chromium: it opens, filters, answers to keys, stays silent and loads nothing."""

import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_runs import judged_problems, page_of, toy_run

from rerank.records import Comparison
from rerank.reports.page import ProblemView

READY = "html[data-ready]"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'rerank[dev]'")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        # Chromium's own sandbox does not start for root; the page is ours.
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


class Opened:
    """A page in the browser, with all that it said and asked for."""

    def __init__(self, tab: Any, path: Path):
        self.tab = tab
        self.said: list[str] = []
        self.asked: list[str] = []
        tab.on("console", lambda message: self.said.append(message.text))
        tab.on("pageerror", lambda error: self.said.append(str(error)))
        tab.on("request", lambda request: self.asked.append(request.url))
        self.path = path
        self.url = path.as_uri()

    def open(self, fragment: str = "", *, wait: str = READY) -> "Opened":
        self.tab.goto("about:blank")
        self.tab.goto(self.url + fragment)
        self.tab.wait_for_selector(wait, state="attached", timeout=20_000)
        return self

    def texts(self, selector: str) -> list[str]:
        return [each.strip() for each in self.tab.locator(selector).all_inner_texts()]

    @property
    def listed(self) -> list[str]:
        return self.texts("#list b")

    def program(self, side: int) -> str:
        return self.tab.locator(".pane pre").nth(side).inner_text()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    tabs = []

    def write_and_open(
        judged: list[ProblemView], fragment: str = "", *, before: str = "", wait: str = READY, **settings: Any
    ) -> Opened:
        selector = settings.pop("selector", "pointwise")
        path = tmp_path / f"{len(tabs)}.html"
        path.write_bytes(page_of(judged, selector=selector).encode())
        tabs.append(browser.new_context(**settings))
        if before:
            tabs[-1].add_init_script(before)
        return Opened(tabs[-1].new_page(), path).open(fragment, wait=wait)

    yield write_and_open
    for tab in tabs:
        tab.close()


def test_it_opens_on_the_figures_and_is_silent(opened):
    page = opened(toy_run())
    assert page.tab.locator("#figures").is_visible()
    assert "Picking by pointwise takes pass@1 from 33.3 to 33.3: +0.0 points" in page.texts(".headline")[0]
    page.tab.click("#to-problems")
    page.tab.wait_for_selector("#list b")
    assert page.listed == ["t/0", "t/1", "t/<i>2"]
    assert page.said == []
    assert page.asked == [page.url], "one file, nothing else, and no favicon from anywhere"


def test_it_shows_the_choice_beside_the_best_right_one(opened):
    page = opened(toy_run(), "#view=problems&problem=t%2F1")
    assert (
        "pointwise's choice #0 fails, though a right one was there: 1 of 2 candidates pass."
        in page.texts(".verdict")[0]
    )
    assert page.program(0).strip() == "return 2"
    assert page.tab.locator(".pane").nth(1).inner_text().count("passed") == 1
    assert page.texts("#candidates tbody th") == ["#0", "#1"]
    assert page.texts(".picks .chip")[0].startswith("first #0")


def test_hostile_text_shows_as_text(opened):
    page = opened(toy_run(), "#view=problems&problem=t%2F1")
    shown = page.program(1)
    assert '</script><img src=x onerror="document.title=1">' in shown
    assert "\\udc80" in shown, "half a surrogate pair is shown by its number"
    assert "</script><img" in page.texts(".reason")[0]
    assert page.tab.locator("img").count() == 0
    assert page.tab.title() == "t/1 · runs/toy · rerank"
    assert (page.said, page.asked) == ([], [page.url])


def test_the_policy_holds_should_the_escaping_ever_fail(opened):
    page = opened(toy_run())
    page.tab.evaluate(
        "document.body.insertAdjacentHTML('beforeend', `<img src='http://127.0.0.1:9/' onerror='window.ran = 1'>`)"
    )
    page.tab.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 2'}))")
    page.tab.wait_for_timeout(100)
    assert page.tab.evaluate("window.ran") is None
    assert len(page.said) >= 3, "Chromium says of each that the policy refused it"


def test_filters(opened):
    page = opened(toy_run(), "#view=problems")
    assert page.texts("#show label small") == ["3", "1", "1", "1"]
    for name, expected in (
        ("missed", ["t/1"]),
        ("right", ["t/0"]),
        ("none", ["t/<i>2"]),
        ("all", ["t/0", "t/1", "t/<i>2"]),
    ):
        page.tab.check(f"#show-{name}", force=True)
        assert page.listed == expected
    page.tab.fill("#search", "T/1")
    assert page.listed == ["t/1"]
    page.tab.fill("#search", "nothing")
    assert page.texts("#count") == ["No problem is like that."]
    assert page.texts("#problem") == ["No problem to show."]
    assert page.said == []


def test_what_another_selector_gets_and_this_one_does_not(opened):
    orders = {"first": {"a": [0, 1], "b": [0, 1]}, "pointwise": {"a": [0, 1], "b": [1, 0]}}
    page = opened(judged_problems({"a": [("x", True), ("y", False)], "b": [("x", True), ("y", False)]}, orders))
    page.open("#view=problems&against=first")
    assert page.listed == ["b"]
    page.tab.select_option("#selector", "first")
    page.tab.select_option("#against", "pointwise")
    assert page.listed == ["b"]
    assert "first's choice #0 passes" in page.texts(".verdict")[0]


def test_the_table_links_to_what_was_missed(opened):
    page = opened(toy_run())
    assert page.texts(".figures td a") == ["1", "1"]
    page.tab.locator(".figures td a").nth(0).click()
    assert page.listed == ["t/1"]
    assert page.tab.input_value("#selector") == "first"


def test_keys(opened):
    page = opened(toy_run())
    press = page.tab.keyboard.press
    press("p")
    page.tab.wait_for_selector("#problem h2:has-text('t/0')")
    press("ArrowRight")
    page.tab.wait_for_selector("#problem h2:has-text('t/1')")
    press("ArrowLeft")
    page.tab.wait_for_selector("#problem h2:has-text('t/0')")
    press("m")
    assert page.listed == ["t/1"]
    press("/")
    page.tab.keyboard.type("<i>m?")
    assert page.tab.input_value("#search") == "<i>m?", "keys typed into a field are text"
    press("Escape")
    press("?")
    assert page.tab.locator("#keys").is_visible()
    press("Escape")
    assert not page.tab.locator("#keys").is_visible()
    press("f")
    page.tab.wait_for_selector("#figures", state="visible")
    assert page.tab.title() == "runs/toy · rerank"
    assert page.said == []


def test_candidates_by_key_and_by_button(opened):
    programs = [(f"return {number}\n", number == 3) for number in range(4)]
    page = opened(judged_problems({"t": programs}, {"pointwise": {"t": [2, 0, 1, 3]}}), "#view=problems")
    sides = lambda: [page.program(side).strip() for side in (0, 1)]  # noqa: E731
    assert sides() == ["return 2", "return 3"], "the choice beside the best right one"
    assert page.texts("#candidates tbody th") == ["#2", "#0", "#1", "#3"]
    page.tab.keyboard.press("k")
    assert sides() == ["return 2", "return 1"]
    page.tab.get_by_role("button", name="show #0 as A").click()
    assert sides() == ["return 0", "return 1"]
    page.tab.keyboard.press("j")
    assert sides() == ["return 0", "return 3"]
    pressed = page.tab.locator(".side[aria-pressed=true]")
    assert [each.get_attribute("aria-label") for each in pressed.all()] == ["show #0 as A", "show #3 as B"]


def test_another_problem_begins_at_its_top_and_a_window_made_wide_shows_one(opened):
    programs = {task_id: [("x = 1\n" * 200, True)] for task_id in ("a", "b")}
    page = opened(judged_problems(programs, {"pointwise": {"a": [0], "b": [0]}}), "#view=problems")
    page.tab.evaluate("scrollTo(0, 900)")
    page.tab.keyboard.press("ArrowRight")
    page.tab.wait_for_selector("#problem h2:has-text('b')")
    assert page.tab.evaluate("scrollY") == 0
    page.tab.set_viewport_size({"width": 500, "height": 700})
    page.tab.click(".back")
    page.tab.wait_for_selector("#list", state="visible")
    page.tab.set_viewport_size({"width": 1200, "height": 700})
    page.tab.wait_for_selector("#problem h2:has-text('a')")


def test_differing_lines_are_marked_and_the_prompt_is_folded(opened):
    prompt = "def f(x):\n    '''The prompt.\n\n    Of four lines.'''\n"
    bodies = ["    y = x\n    return y\n", "    y = 2\n    return y\n"]
    given = [(prompt + body, good) for body, good in zip(bodies, (False, True), strict=True)]
    page = opened(judged_problems({"t": given}, {"pointwise": {"t": [0, 1]}}), "#view=problems")
    assert page.texts(".pane .differs") == ["y = x", "y = 2"]
    assert page.texts(".fold") == ["⋯ prompt, 4 lines"] * 2
    assert "The prompt" not in page.program(0)
    page.tab.locator(".fold").nth(0).click()
    assert "The prompt" in page.program(0)
    page.tab.get_by_role("button", name="raw text").nth(0).click()
    assert page.program(0).startswith("raw def f(x):")


@pytest.mark.parametrize(
    ("source", "kind", "expected"),
    [
        ("def go(n): return None  # why", "keyword", ["def", "return", "None"]),
        ("def go(n): return None  # why", "defined", ["go"]),
        ("def a():\n\n\n    pass", "defined", ["a"]),
        ("def go(n): return None  # why", "comment", ["# why"]),
        ("x = \"# no\" + f'it\\'s' + 1_0.5e3", "string", ['"# no"', "f'it\\'s'"]),
        ("x = \"# no\" + f'it\\'s' + 1_0.5e3", "number", ["1_0.5e3"]),
        ('"""two\nlines \\""" on"""\nlen(x)', "string", ['"""two', 'lines \\""" on"""']),
        ('"""never closed\nprint(1)', "string", ['"""never closed', "print(1)"]),
        ("@cache.it\nclass A: pass", "decorator", ["@cache.it"]),
    ],
)
def test_colours(opened, source, kind, expected):
    page = opened(judged_problems({"t": [(source, True)]}, {"pointwise": {"t": [0]}}), "#view=problems")
    assert page.texts(f".pane:first-child .{kind}") == expected
    assert page.program(0).rstrip("\n") == source, "as it would be copied"


def test_the_tournament(opened):
    (one,) = judged_problems(
        {"t": [("a", False), ("b", True), ("c", False)]}, {"pairwise": {"t": [1, 0, 2]}, "first": {"t": [0, 1, 2]}}
    )
    verdicts = {("b", "a"): 2.0, ("a", "b"): -1.0, ("a", "c"): 1.0, ("c", "a"): 1.5}
    compared = [Comparison("t", f"key {a}", f"key {b}", value) for (a, b), value in verdicts.items()]
    given = ProblemView(one.problem, one.candidates, one.outcomes, one.rankings, compared)
    page = opened([given], "#view=problems", selector="pairwise")
    outlines = {each.get_attribute("class"): each.get_attribute("d") for each in page.tab.locator(".matrix path").all()}
    cells = {kind: re.findall(r"M([\d.]+) ([\d.]+)h25\.5", outline) for kind, outline in outlines.items()}
    # Rows and columns b, a, c of 26 from 44 on. b over a with log-odds 1.5, p 0.82; a over c with -0.25, p 0.44.
    assert {kind: found for kind, found in cells.items() if found} == {
        "heat7": [("70", "44")],
        "heat1": [("44", "70")],
        "heat3": [("96", "70")],
        "heat5": [("70", "96")],
    }
    assert outlines["split"].count("M") == 2, "the orders of a and c disagree"
    page.tab.focus(".matrix")
    assert "#1 is better than #0: 0.82" in page.texts(".readout")[0]
    page.tab.keyboard.press("ArrowDown")
    page.tab.keyboard.press("ArrowRight")
    assert "#0 is better than #2: 0.44" in page.texts(".readout")[0]
    assert "the orders disagree" in page.texts(".readout")[0]
    page.tab.keyboard.press("Enter")
    assert [page.program(side).strip() for side in (0, 1)] == ["a", "c"]
    page.tab.keyboard.press("ArrowUp")
    assert "#1 and #2 were not compared" in page.texts(".readout")[0]


def test_light_dark_and_the_toggle(opened):
    background = "getComputedStyle(document.body).backgroundColor"
    light, dark = (opened(toy_run(), color_scheme=scheme) for scheme in ("light", "dark"))
    assert light.tab.evaluate(background) == "rgb(255, 255, 255)"
    assert dark.tab.evaluate(background) == "rgb(20, 23, 28)"
    for page in (light, dark):
        for label, colour in (("Theme: light", "rgb(255, 255, 255)"), ("Theme: dark", "rgb(20, 23, 28)")):
            page.tab.click("#theme")
            assert page.texts("#theme") == [label]
            assert page.tab.evaluate(background) == colour


# WCAG's contrast of every text in view with what is behind it: 4.5 for text, 3 for what is large or bold.
CONTRASTS = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.closest("script, .unseen, option")) continue;
    const style = getComputedStyle(node);
    const ink = light(parse(node instanceof SVGElement ? style.fill : style.color));
    const paper = light(behind(node));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (ratio < 4.5) low.push(`${ratio.toFixed(2)} ${node.outerHTML}`);
  }
  return low;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("fragment", ["", "#view=problems&problem=t%2F1"])
def test_contrast_is_enough(opened, scheme, fragment):
    source = "@a\ndef f(x):  # c\n    return len('s') + 1\n"
    programs = {"t/1": [(source, False), (source.replace("1", "2"), True)]}
    page = opened(judged_problems(programs, {"pointwise": {"t/1": [0, 1]}}), fragment, color_scheme=scheme)
    assert page.tab.evaluate(CONTRASTS) == []


def test_every_control_has_a_name(opened):
    page = opened(toy_run(), "#view=problems")
    snapshot = page.tab.locator("body").aria_snapshot()
    unnamed = [
        line for line in snapshot.splitlines() if line.strip().rstrip(":") in ("- button", "- link", "- combobox")
    ]
    assert unnamed == []


def test_a_phone_shows_the_list_then_the_problem_and_nothing_sticks_out(opened):
    page = opened(toy_run(), "#view=problems", viewport={"width": 375, "height": 700})
    assert page.tab.locator("#list").is_visible()
    assert not page.tab.locator("#problem").is_visible()
    page.tab.locator("#list a").nth(1).click()
    page.tab.wait_for_selector("#problem h2")
    assert not page.tab.locator("#list").is_visible()
    for fragment in ("", "#view=problems", "#view=problems&problem=t%2F1"):
        page.open(fragment)
        assert page.tab.evaluate("document.documentElement.scrollWidth") <= 375
    page.tab.click(".back")
    page.tab.wait_for_selector("#list", state="visible")


def test_without_a_script_the_figures_are_there(opened):
    page = opened(toy_run())
    page.tab.context.close()
    browser = page.tab.context.browser
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(page.url)
    assert tab.locator(".figures").is_visible()
    assert tab.locator("noscript").is_visible()
    assert not tab.locator("#to-problems").is_visible()
    context.close()


def large_run(num_problems: int, num_candidates: int) -> list[ProblemView]:
    """Programs of 20 lines each, no two alike, of words drawn by seed."""
    draw = random.Random(0)
    words = [f"name_{number}" for number in range(200)]

    def program() -> str:
        body = "".join(f"    {draw.choice(words)} = {draw.choice(words)}({draw.random():.3f})\n" for _ in range(20))
        return f"def f(x):\n{body}    return x\n"

    programs = {
        f"Task/{number}": [(program(), draw.random() < 0.3) for _ in range(num_candidates)]
        for number in range(num_problems)
    }
    selectors = ("random", "first", "shortest", "log-probability", "examples", "pointwise")
    orders = {
        name: {task_id: draw.sample(range(num_candidates), num_candidates) for task_id in programs}
        for name in selectors
    }
    return judged_problems(programs, orders)


def test_164_problems_of_100_candidates_open_in_under_two_seconds(opened):
    page = opened(large_run(164, 100))
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        page.open("#view=problems", wait="#problem .pane")
        seconds.append(time.perf_counter() - began)
    assert len(page.listed) == 164
    assert page.tab.locator("#candidates tbody tr").count() == 100
    assert min(seconds) < 2, seconds
    assert page.said == []


def test_the_script_that_times_it(opened, tmp_path):
    page = opened(toy_run())
    script = Path(__file__).parents[2] / "scripts" / "bench_page.py"
    for place, code, said in ((page.path, 0, r"0\.\d MB, opened 2 times: median "), (tmp_path, 2, "error: ")):
        command = [sys.executable, str(script), str(place), "--times", "2"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert re.match(said, done.stdout + done.stderr)


def test_a_browser_that_cannot_unpack_says_so(opened):
    """Firefox before 113 and Safari before 16.4; the figures are there all the same."""
    page = opened(toy_run(), before="delete window.DecompressionStream", wait="#too-old:not([hidden])")
    assert page.tab.evaluate("typeof DecompressionStream") == "undefined"
    assert "needs a browser of 2023 or later" in page.texts("#too-old")[0]
    assert page.tab.locator("#figures table").first.is_visible()
    assert not page.tab.locator("#to-problems").is_visible()
    assert page.said == []


def test_a_browser_of_today_is_told_nothing(opened):
    assert not opened(toy_run()).tab.locator("#too-old").is_visible()
