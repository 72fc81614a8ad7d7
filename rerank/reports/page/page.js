// The problems' view. Texts of models only ever become text nodes. The state is the address' fragment, so that a view can
// be linked to; the figures are in the page already and need none of this.
"use strict";

(async () => {
  if (typeof DecompressionStream === "undefined") {
    document.getElementById("too-old").hidden = false;
    return;
  }
  const TITLE = document.title;
  const NARROW = matchMedia("(max-width: 800px)"); // as page.css has it
  const MISSED = "missed";
  const SHOW = {
    all: ["all", "every problem"],
    missed: ["missed", "picked wrong though a right one was there"],
    right: ["right", "picked right"],
    none: ["none right", "no candidate is right"],
  };
  const KEYWORDS = new Set(
    ("and as assert async await break case class continue def del elif else except finally for from global if import in is " +
      "lambda match nonlocal not or pass raise return try while with yield True False None").split(" "),
  );
  const BUILTINS = new Set(
    ("abs all any bool bytes chr dict divmod enumerate filter float frozenset int isinstance iter len list map max min next " +
      "object ord pow print range repr reversed round self set sorted str sum super tuple type zip").split(" "),
  );
  const TOKEN = new RegExp(
    [
      /(?<comment>#[^\n]*)/,
      /(?<string>(?:\b[rRbBuUfF]{1,2})?(?:"""(?:\\[^]|[^\\])*?(?:"""|(?![^]))|'''(?:\\[^]|[^\\])*?(?:'''|(?![^]))|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?))/,
      /(?<number>\b\d[\w.]*)/,
      /(?<decorator>^[ \t]*@[\w.]+)/,
      /(?<word>[A-Za-z_]\w*)/,
    ]
      .map((each) => each.source)
      .join("|"),
    "gm",
  );
  // Control and direction signs can make code look like other code, so they are shown by their number.
  const UNSEEN =
    /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}\p{Cs}]/gu;
  const MAX_COLOURED_CHARS = 100_000;
  const MAX_COMPARED_LINES = 4_000_000; // lines of one program times lines of the other

  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("blocks").textContent);
  const index = await unpack(JSON.parse($("index").textContent));
  const problems = index.problems;
  const places = new Map(problems.map((each, place) => [each.id, place]));
  const blocks = new Map(); // place to what its block holds
  const DEFAULTS = {
    view: "figures",
    problem: "",
    selector: index.selector,
    tests: index.tests[0],
    show: "all",
    against: "",
    find: "",
  };
  let state = { ...DEFAULTS };
  let listed = []; // places of the problems in the list
  let listedFor = null; // the filters that made it
  let shown = { place: null, a: 0, b: 0 }; // the problem in view, and its candidates side by side

  // Small tools

  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
  }

  function make(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes ?? {})) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value != null) node.setAttribute(name, value);
    }
    node.append(...children.flat().filter((each) => each != null));
    return node;
  }

  function draw(tag, attributes, ...children) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
  const mark = (isRight) =>
    make("span", { class: isRight ? "ok" : "no", title: isRight ? "passes" : "fails" }, isRight ? "✓" : "✗");
  const figure = (value) => (value == null ? "–" : Number.isInteger(value) ? String(value) : value.toFixed(Math.abs(value) < 1 ? 3 : 2));

  // State

  function address(changes) {
    const next = { ...state, ...changes };
    const given = Object.entries(next).filter(([name, value]) => value !== DEFAULTS[name]);
    return "#" + new URLSearchParams(given);
  }

  function go(changes) {
    location.hash = address(changes); // a step that the back button takes back
  }

  function adjust(changes) {
    history.replaceState(null, "", address(changes) || "#");
    read();
  }

  function read() {
    const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    state = { ...DEFAULTS, ...given };
    const isKnown = (name, known) => known.includes(state[name]) || (state[name] = DEFAULTS[name]);
    isKnown("view", ["figures", "problems"]);
    isKnown("selector", index.selectors);
    isKnown("tests", index.tests);
    isKnown("show", Object.keys(SHOW));
    isKnown("against", index.selectors);
    render();
  }

  const testsPlace = () => index.tests.indexOf(state.tests);
  const orderOf = (problem, selector = state.selector) => problem.orders[index.selectors.indexOf(selector)];
  const passes = (problem, place) => problem.passed[testsPlace()][place] === "1";
  const numRight = (problem) => problem.passed[testsPlace()].replaceAll("0", "").length;
  const isPicked = (problem, selector) => passes(problem, orderOf(problem, selector)[0]);

  function kindOf(problem) {
    if (isPicked(problem)) return "right";
    return numRight(problem) ? MISSED : "none";
  }

  // Everything on the page from the state

  function render() {
    const isBrowsing = state.view === "problems";
    $("figures").hidden = isBrowsing;
    $("problems").hidden = !isBrowsing;
    for (const view of ["figures", "problems"]) {
      const link = $(`to-${view}`);
      link.href = address({ view });
      if (view === state.view) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = TITLE;
    if (!isBrowsing) return;
    renderFilters();
    renderList();
    const place = places.get(state.problem) ?? null;
    $("problems").classList.toggle("opened", place !== null);
    // A wide window always shows a problem; a narrow one shows the list until one is chosen.
    renderProblem(place ?? (isNarrow() ? null : (listed[0] ?? null)));
  }

  const isNarrow = () => NARROW.matches;

  function renderFilters() {
    $("selector").value = state.selector;
    $("tests").value = state.tests;
    $("against").value = state.against;
    if ($("search").value !== state.find) $("search").value = state.find;
    const kinds = problems.map(kindOf);
    for (const [name] of Object.entries(SHOW)) {
      const number = name === "all" ? problems.length : kinds.filter((each) => each === name).length;
      $(`show-${name}`).checked = state.show === name;
      $(`number-${name}`).textContent = number.toLocaleString("en");
    }
  }

  function renderList() {
    const filters = JSON.stringify([state.selector, state.tests, state.show, state.against, state.find]);
    if (filters !== listedFor) {
      listedFor = filters;
      const wanted = state.find.trim().toLowerCase();
      listed = [...problems.keys()].filter((place) => {
        const problem = problems[place];
        if (state.show !== "all" && kindOf(problem) !== state.show) return false;
        if (state.against && isPicked(problem) === isPicked(problem, state.against)) return false;
        return `${problem.id} ${problem.name}`.toLowerCase().includes(wanted);
      });
      $("count").textContent = listed.length
        ? `${listed.length.toLocaleString("en")} of ${count(problems.length, "problem")}`
        : "No problem is like that.";
      $("list").replaceChildren(...listed.map(listRow));
    }
    const current = state.problem || problems[listed[0]]?.id;
    for (const link of $("list").querySelectorAll("a")) {
      const isCurrent = link.dataset.problem === current;
      link.tabIndex = isCurrent || (!listed.includes(places.get(current)) && !link.parentNode.previousSibling) ? 0 : -1;
      if (isCurrent) {
        link.setAttribute("aria-current", "true");
        link.scrollIntoView({ block: "nearest" });
      } else link.removeAttribute("aria-current");
    }
  }

  function listRow(place) {
    const problem = problems[place];
    const order = orderOf(problem);
    const bars = make("i", { class: "bars", "aria-hidden": "true" });
    const step = 100 / order.length;
    const stops = order.map(
      (each, rank) => `var(--${passes(problem, each) ? "right" : "empty"}) ${rank * step}% ${(rank + 1) * step}%`,
    );
    const gaps = `repeating-linear-gradient(to right, transparent 0 calc(${step}% - 1px), var(--panel) 0 ${step}%)`;
    bars.style.backgroundImage = (order.length <= 30 ? gaps + ", " : "") + `linear-gradient(to right, ${stops})`;
    const kind = kindOf(problem);
    return make(
      "li",
      {},
      make(
        "a",
        { href: address({ problem: problem.id }), "data-problem": problem.id, class: kind },
        mark(kind === "right"),
        make("b", {}, problem.id),
        make("span", { class: "name" }, problem.name),
        make("span", { class: "unseen" }, `, ${SHOW[kind][1]}, ${numRight(problem)} of ${order.length} right`),
        bars,
      ),
    );
  }

  // One problem

  async function renderProblem(place) {
    if (place === null) {
      shown = { place: null, a: 0, b: 0 };
      $("problem").replaceChildren(make("p", { class: "empty" }, "No problem to show."));
      return;
    }
    const isSame = place === shown.place;
    const order = orderOf(problems[place]);
    if (!isSame || shown.selector !== state.selector || shown.tests !== state.tests) {
      const isOther = passes(problems[place], order[0]) ? () => true : (each) => passes(problems[place], each);
      const other = order.slice(1).find(isOther) ?? order[1] ?? order[0];
      shown = { place, a: order[0], b: other, selector: state.selector, tests: state.tests };
    }
    if (!blocks.has(place)) blocks.set(place, unpack(data[place])); // kept as a promise, so that it is unpacked once
    const block = await blocks.get(place);
    if (shown.place !== place || state.view !== "problems") return; // another was asked for in the meantime
    const openBefore = new Set([...$("problem").querySelectorAll("details[open]")].map((each) => each.className));
    const wasShown = $("problem").querySelector("h2") !== null;
    $("problem").replaceChildren(
      heading(place, block),
      picks(place, block),
      make(
        "div",
        { class: "top" },
        make("div", { class: "texts" }, ...texts(block, wasShown ? openBefore : new Set(["prompt"]))),
        candidateTable(place, block),
      ),
      make("div", { class: "panes", id: "panes" }),
      ...(block.comparisons ? [matrix(place, block)] : []),
    );
    document.title = `${problems[place].id} · ${TITLE}`;
    renderPanes(place, block);
    if (!isSame) scrollTo(0, 0);
  }

  function heading(place, block) {
    const problem = problems[place];
    const position = listed.indexOf(place);
    const kind = kindOf(problem);
    const choice = orderOf(problem)[0];
    const step = (to, label, sign) => {
      const target = problems[listed[to]];
      return target
        ? make("a", { class: "step", href: address({ problem: target.id }), "aria-label": label }, sign)
        : make("span", { class: "step", "aria-hidden": "true" }, sign);
    };
    const words = {
      right: ` passes; `,
      missed: ` fails, though a right one was there: `,
      none: ` fails, as do all: `,
    }[kind];
    return make(
      "div",
      { class: "heading" },
      make("a", { class: "back", href: address({ problem: "" }) }, "← list"),
      make("h2", {}, problem.id, " ", make("small", {}, problem.name)),
      make(
        "span",
        { class: "steps" },
        step(position - 1, "problem before", "←"),
        make("span", {}, position < 0 ? "not listed" : `${position + 1} of ${listed.length}`),
        step(position + 1, "problem after", "→"),
      ),
      make(
        "p",
        { class: `verdict ${kind}` },
        mark(kind === "right"),
        ` ${state.selector}'s choice #${block.candidates[choice].index}`,
        words,
        `${numRight(problem)} of ${orderOf(problem).length} candidates pass.`,
      ),
    );
  }

  function picks(place, block) {
    const problem = problems[place];
    const first = firstRight(problem);
    const oracle = first < 0 ? null : orderOf(problem)[first];
    const chip = (label, candidate) =>
      make(
        "button",
        { type: "button", class: "chip", onclick: () => choose(block, { a: candidate }), title: "show as A" },
        `${label} #${block.candidates[candidate].index} `,
        mark(passes(problem, candidate)),
      );
    return make(
      "div",
      { class: "picks", role: "group", "aria-label": "What each selector picked" },
      ...index.selectors.map((each) => chip(each, orderOf(problem, each)[0])),
      oracle === null
        ? make("span", { class: "chip" }, "oracle ", mark(false))
        : make(
            "button",
            { type: "button", class: "chip", onclick: () => choose(block, { b: oracle }), title: "show as B" },
            `oracle: best right one is #${block.candidates[oracle].index}, ranked ${first + 1} `,
            mark(true),
          ),
    );
  }

  const firstRight = (problem) => orderOf(problem).findIndex((each) => passes(problem, each));

  function texts(block, open) {
    const part = (kind, label, content) =>
      make("details", { class: kind, open: open.has(kind) }, make("summary", {}, label), content);
    const code = (text) => make("pre", { class: "scroll", tabindex: "0" }, make("code", {}, inLines(lines(text))));
    const prompt = block.kind === "function" ? code(block.prompt) : make("p", { class: "words" }, visible(block.prompt));
    return [
      part("prompt", "Prompt", prompt),
      block.reference === null ? null : part("reference", "Reference solution", code(block.reference)),
      part(
        "hidden-tests",
        "Hidden tests",
        block.test === null ? make("p", {}, "Too long to be carried along.") : code(block.test),
      ),
    ].filter(Boolean);
  }

  function candidateTable(place, block) {
    const problem = problems[place];
    // What says nothing as a number is left out: the order is in the ranks. The selector's own comes first.
    const others = index.selectors.filter((each) => !["random", "first", state.selector].includes(each));
    const columns = [state.selector, ...others];
    const row = (candidate, rank) => {
      const each = block.candidates[candidate];
      const outcome = each.outcomes[testsPlace()];
      const side = (letter) =>
        make(
          "button",
          {
            type: "button",
            class: "side",
            "data-side": letter,
            "aria-label": `show #${each.index} as ${letter.toUpperCase()}`,
            "aria-pressed": "false",
            onclick: (event) => {
              event.stopPropagation();
              choose(block, { [letter]: candidate });
            },
          },
          letter.toUpperCase(),
        );
      return make(
        "tr",
        { "data-candidate": candidate, tabindex: "-1", onclick: () => choose(block, { b: candidate }) },
        make("td", { class: "sides" }, side("a"), side("b")),
        make("td", {}, String(rank + 1)),
        make("th", { scope: "row" }, `#${each.index}`),
        make("td", { class: "outcome" }, mark(passes(problem, candidate)), ` ${outcome.status}`),
        ...columns.map((column) =>
          make(
            "td",
            { class: column === state.selector ? "current" : null },
            figure(each.values[index.selectors.indexOf(column)]),
          ),
        ),
      );
    };
    const head = (column) =>
      make(
        "th",
        { scope: "col", "aria-sort": column === state.selector ? "descending" : null },
        make(
          "button",
          { type: "button", title: `order by ${column}`, onclick: () => adjust({ selector: column }) },
          column,
        ),
      );
    return make(
      "div",
      { class: "scroll candidates", tabindex: "0", role: "region", "aria-label": "Candidates, the choice first" },
      make(
        "table",
        { id: "candidates" },
        make(
          "thead",
          {},
          make(
            "tr",
            {},
            ...["show", "rank", "#", "outcome"].map((each) => make("th", { scope: "col" }, each)),
            ...columns.map(head),
          ),
        ),
        make("tbody", {}, ...orderOf(problem).map(row)),
      ),
    );
  }

  function choose(block, sides) {
    Object.assign(shown, sides);
    renderPanes(shown.place, block);
  }

  function renderPanes(place, block) {
    const [one, other] = [block.candidates[shown.a], block.candidates[shown.b]];
    const [marksOne, marksOther] = differences(one.program, other.program);
    $("panes").replaceChildren(
      pane("a", place, block, shown.a, marksOne),
      pane("b", place, block, shown.b, marksOther),
    );
    for (const row of $("candidates").tBodies[0].rows) {
      const candidate = Number(row.dataset.candidate);
      for (const button of row.querySelectorAll(".side"))
        button.setAttribute("aria-pressed", String(shown[button.dataset.side] === candidate));
      row.classList.toggle("chosen", candidate === shown.b || candidate === shown.a);
      if (candidate === shown.b) keepInView(row);
    }
  }

  function keepInView(row) {
    const box = row.closest(".scroll");
    const head = box.querySelector("thead").offsetHeight;
    if (row.offsetTop < box.scrollTop + head) box.scrollTop = row.offsetTop - head;
    const below = row.offsetTop + row.offsetHeight - box.clientHeight;
    if (below > box.scrollTop) box.scrollTop = below;
  }

  function pane(letter, place, block, candidate, marks) {
    const each = block.candidates[candidate];
    const outcome = each.outcomes[testsPlace()];
    const rank = orderOf(problems[place]).indexOf(candidate) + 1;
    const twins = block.candidates.filter((twin) => twin !== each && twin.group !== null && twin.group === each.group);
    const pre = make("pre", { class: "scroll", tabindex: "0", "aria-label": `Program of #${each.index}` });
    const fill = (isRaw) =>
      pre.replaceChildren(
        make("code", {}, isRaw ? inLines(lines(each.raw)) : programLines(each, block, marks)),
      );
    fill(false);
    const facts = [
      `${Math.round(1000 * outcome.seconds)} ms of CPU`,
      each.cuts.length ? `extraction: ${each.cuts.join(", ")}` : null,
      twins.length ? `same parse tree as ${twins.map((twin) => `#${twin.index}`).join(", ")}` : null,
      each.group === null ? "does not parse" : null,
      each.generator || null,
    ].filter(Boolean);
    const raw = make("button", { type: "button", class: "raw", "aria-pressed": "false" }, "raw text");
    raw.addEventListener("click", () => {
      const isRaw = raw.getAttribute("aria-pressed") === "false";
      raw.setAttribute("aria-pressed", String(isRaw));
      fill(isRaw);
    });
    return make(
      "section",
      { class: `pane ${passes(problems[place], candidate) ? "right" : "wrong"}`, "aria-label": letter.toUpperCase() },
      make(
        "header",
        {},
        make("b", { class: "letter" }, letter.toUpperCase()),
        make("h3", {}, `#${each.index}`, make("small", {}, ` rank ${rank} of ${block.candidates.length}`)),
        make("span", {}, mark(passes(problems[place], candidate)), ` ${outcome.status}`),
        each.raw === null ? null : raw,
      ),
      outcome.reason ? make("p", { class: "reason" }, visible(outcome.reason)) : null,
      make("p", { class: "facts" }, visible(facts.join(" · "))),
      pre,
    );
  }

  function programLines(each, block, marks) {
    const all = lines(each.program, marks);
    const numFolded = block.kind === "function" ? numRepeated(each.program, block.prompt) : 0;
    if (numFolded < 3) return inLines(all);
    const hidden = make("span", { hidden: true }, inLines(all.slice(0, numFolded)));
    const fold = make(
      "button",
      { type: "button", class: "fold", "aria-expanded": "false" },
      `⋯ prompt, ${count(numFolded, "line")}`,
    );
    fold.addEventListener("click", () => {
      hidden.hidden = !hidden.hidden;
      fold.setAttribute("aria-expanded", String(!hidden.hidden));
    });
    return [fold, "\n", hidden, ...inLines(all.slice(numFolded))];
  }

  // How many lines a program begins with that only repeat the prompt, whole, up to empty lines; 0 where it does not.
  function numRepeated(program, prompt) {
    const wanted = prompt.split("\n").map((line) => line.trimEnd()).filter(Boolean);
    const found = program.split("\n").map((line) => line.trimEnd());
    let next = 0;
    for (let place = 0; place < found.length && next < wanted.length; place++) {
      if (found[place] && found[place] !== wanted[next++]) return 0;
      if (next === wanted.length) return place + 1;
    }
    return 0;
  }

  // Code

  const visible = (text) =>
    text.replace(UNSEEN, (each) => `\\u${each.codePointAt(0).toString(16).padStart(4, "0")}`);

  const inLines = (spans) => spans.flatMap((each) => [each, "\n"]);

  // Text to one span a line, coloured as Python; marked lines are those that the other side lacks.
  function lines(text, marks) {
    const found = [];
    let line = [];
    const end = () => {
      const isMarked = marks?.has(found.length);
      found.push(make("span", { class: isMarked ? "line differs" : "line" }, line));
      line = [];
    };
    for (const [kind, part] of tokens(visible(text))) {
      part.split("\n").forEach((piece, place) => {
        if (place) end();
        if (piece) line.push(kind ? make("span", { class: kind }, piece) : piece);
      });
    }
    if (line.length || !found.length) end();
    return found;
  }

  function* tokens(text) {
    if (text.length > MAX_COLOURED_CHARS) return yield ["", text];
    let end = 0;
    let isName = false; // after def or class
    for (const match of text.matchAll(TOKEN)) {
      if (match.index > end) yield ["", text.slice(end, match.index)];
      end = match.index + match[0].length;
      const { word } = match.groups;
      const [kind] = Object.entries(match.groups).find(([, value]) => value !== undefined);
      if (!word) yield [kind, match[0]];
      else if (KEYWORDS.has(word)) yield ["keyword", word];
      else if (isName) yield ["defined", word];
      else yield [BUILTINS.has(word) ? "builtin" : "", word];
      isName = word === "def" || word === "class";
    }
    if (end < text.length) yield ["", text.slice(end)];
  }

  // Which lines of each text are not in a longest common subsequence of the two; none where the texts are equal.
  function differences(one, other) {
    const [a, b] = [one, other].map((text) => text.split("\n").map((line) => line.trimEnd()));
    if (a.length * b.length > MAX_COMPARED_LINES) return [new Set(), new Set()];
    const width = b.length + 1;
    const longest = new Uint32Array((a.length + 1) * width); // of what follows a[i] and b[j]
    for (let i = a.length - 1; i >= 0; i--)
      for (let j = b.length - 1; j >= 0; j--)
        longest[i * width + j] =
          a[i] === b[j]
            ? longest[(i + 1) * width + j + 1] + 1
            : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    const marks = [new Set(a.keys()), new Set(b.keys())];
    for (let i = 0, j = 0; i < a.length && j < b.length; ) {
      if (a[i] === b[j]) {
        marks[0].delete(i++);
        marks[1].delete(j++);
      } else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) i++;
      else j++;
    }
    return marks;
  }

  // The tournament

  const BINS = [0.1, 0.25, 0.4, 0.48, 0.52, 0.6, 0.75, 0.9]; // between nine colours

  function matrix(place, block) {
    const problem = problems[place];
    const size = Math.round(Math.sqrt(block.comparisons.length));
    const groups = [...new Set(orderOf(problem).map((each) => block.candidates[each].group))].filter((g) => g !== null);
    const best = groups.map((group) => orderOf(problem).find((each) => block.candidates[each].group === group));
    const label = (at) => `#${block.candidates[best[at]].index}`;
    const cell = Math.max(6, Math.min(26, Math.floor(560 / size)));
    const edge = cell >= 18 ? 44 : 14; // room for the labels, and for the strip of outcomes
    const readout = make("p", { class: "readout", role: "status" });

    const verdict = (row, column) => {
      const asked = block.comparisons[groups[row] * size + groups[column]];
      const back = block.comparisons[groups[column] * size + groups[row]];
      // No verdict counts as a tie, as it does in the ranking.
      const margins = [asked, back === null ? null : back === "?" ? 0 : -back]
        .filter((each) => each !== null)
        .map((each) => (each === "?" ? 0 : each / 100));
      if (!margins.length) return null;
      const isSplit = typeof asked === "number" && typeof back === "number" && Math.sign(asked) !== -Math.sign(back);
      return { share: sigmoid(margins.reduce((a, b) => a + b) / margins.length), asked, back, isSplit };
    };
    const say = (row, column) => {
      const found = row === column ? null : verdict(row, column);
      const order = (value) =>
        value === null ? "not asked" : value === "?" ? "no verdict" : sigmoid(value / 100).toFixed(2);
      readout.textContent = !found
        ? row === column
          ? ""
          : `${label(row)} and ${label(column)} were not compared.`
        : `${label(row)} is better than ${label(column)}: ${found.share.toFixed(2)} ` +
          `(${label(row)} first: ${order(found.asked)}; ${label(column)} first, that it is better: ${order(found.back)}` +
          `${found.isSplit ? "; the orders disagree" : ""}). Enter or click shows the two.`;
    };

    const width = edge + size * cell + 2;
    const plot = draw("svg", {
      class: "matrix",
      viewBox: `0 0 ${width} ${width}`,
      width,
      height: width,
      tabindex: "0",
      role: "img",
      "aria-label": `Heat map of ${size} by ${size} programs in the selector's order; arrows move, Enter shows a pair`,
    });
    // One path a colour: ten thousand elements would take a second.
    const paths = new Map();
    const add = (kind, outline) => paths.set(kind, (paths.get(kind) ?? "") + outline);
    const box = (x, y, w, h) => `M${x} ${y}h${w}v${h}h${-w}z`;
    const disc = (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;
    for (let row = 0; row < size; row++) {
      const kind = passes(problem, best[row]) ? "bar-right" : "bar-wrong";
      const y = edge + row * cell;
      add(kind, box(edge - 7, y + 1, 5, cell - 2) + box(y + 1, edge - 7, cell - 2, 5));
      if (cell >= 18)
        plot.append(
          draw("text", { class: "tick end", x: edge - 11, y: y + cell / 2 + 4 }, label(row)),
          draw("text", { class: "tick middle", x: y + cell / 2, y: edge - 12 }, label(row)),
        );
      for (let column = 0; column < size; column++) {
        const found = row === column ? null : verdict(row, column);
        if (!found) continue;
        const x = edge + column * cell;
        add(`heat${BINS.filter((bound) => found.share > bound).length}`, box(x, y, cell - 0.5, cell - 0.5));
        if (found.isSplit && cell >= 10) add("split", disc(x + cell / 2, y + cell / 2, cell / 9));
      }
    }
    const order = [...paths.keys()].sort(); // the dots, `split`, last
    plot.append(...order.map((kind) => draw("path", { class: kind, d: paths.get(kind) })));
    const cursor = draw("rect", { class: "cursor", width: cell, height: cell, visibility: "hidden" });
    plot.append(cursor);
    let at = { row: 0, column: Math.min(1, size - 1) };
    const move = (row, column) => {
      at = { row: Math.max(0, Math.min(size - 1, row)), column: Math.max(0, Math.min(size - 1, column)) };
      cursor.setAttribute("x", edge + at.column * cell);
      cursor.setAttribute("y", edge + at.row * cell);
      cursor.setAttribute("visibility", "visible");
      say(at.row, at.column);
    };
    const under = (event) => {
      const box = plot.getBoundingClientRect();
      const scale = width / box.width;
      const [x, y] = [(event.clientX - box.left) * scale - edge, (event.clientY - box.top) * scale - edge];
      return x >= 0 && y >= 0 ? [Math.floor(y / cell), Math.floor(x / cell)] : null;
    };
    const show = () => {
      choose(block, { a: best[at.row], b: best[at.column] });
      $("panes").scrollIntoView({ block: "nearest" });
    };
    plot.addEventListener("pointermove", (event) => under(event) && move(...under(event)));
    plot.addEventListener("click", (event) => {
      if (!under(event)) return;
      move(...under(event));
      show();
    });
    plot.addEventListener("focus", () => move(at.row, at.column));
    plot.addEventListener("keydown", (event) => {
      const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (steps) move(at.row + steps[0], at.column + steps[1]);
      else if (event.key === "Enter") show();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    const legend = draw("svg", { class: "legend", viewBox: "0 0 270 26", width: 270, height: 26, "aria-hidden": "true" });
    for (let level = 0; level < 9; level++)
      legend.append(draw("rect", { class: `heat${level}`, x: 60 + level * 16, y: 4, width: 15, height: 14 }));
    legend.append(
      draw("text", { class: "tick", x: 0, y: 15 }, "row worse"),
      draw("text", { class: "tick", x: 210, y: 15 }, "row better"),
    );
    return make(
      "section",
      { class: "tournament" },
      make("h3", {}, "Tournament"),
      make(
        "p",
        { class: "facts" },
        "Row against column, both orders averaged; a dot where the two orders name different winners. ",
        "Beside the axes: which programs are right.",
      ),
      legend,
      make("div", { class: "scroll" }, plot),
      readout,
    );
  }

  const sigmoid = (logOdds) => 1 / (1 + Math.exp(-logOdds));

  // Keys and controls

  function stepProblem(step) {
    const at = listed.indexOf(shown.place);
    const next = problems[listed[at < 0 ? 0 : at + step]];
    if (next) go({ view: "problems", problem: next.id });
  }

  async function stepCandidate(step) {
    if (shown.place === null) return;
    const order = orderOf(problems[shown.place]);
    const next = order[order.indexOf(shown.b) + step];
    if (next !== undefined) choose(await blocks.get(shown.place), { b: next });
  }

  const KEYS = {
    ArrowLeft: () => stepProblem(-1),
    ArrowRight: () => stepProblem(1),
    j: () => stepCandidate(1),
    k: () => stepCandidate(-1),
    m: () => adjust({ view: "problems", show: state.show === MISSED ? "all" : MISSED, problem: "" }),
    f: () => go({ view: "figures" }),
    p: () => go({ view: "problems" }),
    "/": () => {
      adjust({ view: "problems", problem: isNarrow() ? "" : state.problem });
      $("search").focus();
      $("search").select();
    },
    "?": () => $("keys").showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
    const target = event.target;
    if (target.matches("input[type=search], select")) {
      if (event.key === "Escape") target.blur();
      return;
    }
    if (event.key.startsWith("Arrow")) {
      const up = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (up && target.closest("#list")) {
        event.preventDefault();
        stepProblem(up);
        requestAnimationFrame(() => $("list").querySelector("[aria-current]")?.focus());
        return;
      }
      if (up && target.closest(".candidates")) {
        event.preventDefault();
        stepCandidate(up);
        return;
      }
      // Where the arrows have work of their own they keep it: radio buttons, and what can be scrolled sideways.
      const box = target.closest(".scroll");
      if (target.matches("input") || (box && box.scrollWidth > box.clientWidth)) return;
    }
    const action = KEYS[event.key];
    if (!action) return;
    if (event.key.startsWith("Arrow") && state.view !== "problems") return;
    event.preventDefault();
    action();
  });

  const THEMES = ["auto", "light", "dark"];
  function setTheme(theme) {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    $("theme").textContent = `Theme: ${theme}`;
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // a page from disk may have no storage: the theme holds until it is closed
    }
  }
  function storedTheme() {
    try {
      return localStorage.getItem("theme") ?? "auto";
    } catch {
      return "auto";
    }
  }

  const options = (values) => values.map((each) => make("option", { value: each }, each));
  $("selector").append(...options(index.selectors));
  $("tests").append(...options(index.tests));
  $("tests").parentNode.hidden = index.tests.length < 2;
  $("against").append(make("option", { value: "" }, "anything"), ...options(index.selectors));
  for (const [name, [short, long]] of Object.entries(SHOW))
    $("show").append(
      make(
        "label",
        { title: long },
        make("input", {
          type: "radio",
          name: "show",
          id: `show-${name}`,
          onchange: () => adjust({ show: name, problem: "" }),
        }),
        `${short} `,
        make("small", { id: `number-${name}` }),
      ),
    );
  for (const control of ["selector", "tests", "against"])
    $(control).addEventListener("change", (event) => adjust({ [control]: event.target.value }));
  $("search").addEventListener("input", (event) => adjust({ find: event.target.value, problem: "" }));
  $("filters").addEventListener("submit", (event) => {
    event.preventDefault();
    $("list").querySelector("a")?.focus();
  });
  $("theme").addEventListener("click", () =>
    setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % 3]),
  );
  $("help").addEventListener("click", KEYS["?"]);
  setTheme(THEMES.includes(storedTheme()) ? storedTheme() : "auto");
  for (const id of ["to-problems", "theme", "help"]) $(id).hidden = false;
  addEventListener("hashchange", read);
  NARROW.addEventListener("change", render);
  read();
  document.documentElement.dataset.ready = "";
})();
