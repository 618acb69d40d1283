// The live page: asks the agent once a second what it counts and what is wrong, and shows it.
"use strict";

const KINDS = {
  inputs: { title: "Inputs", one: "input" },
  filters: { title: "Filters, in this order", one: "filter" },
  outputs: { title: "Outputs", one: "output" },
};
// What a state looks like. Each has a sign and a word, so that no meaning hangs on a colour.
const STATES = {
  ok: { tone: "good", sign: "●", word: "ok" },
  paused: { tone: "warn", sign: "‖", word: "paused" },
  retrying: { tone: "warn", sign: "↻", word: "retrying" },
  failing: { tone: "bad", sign: "▲", word: "failing" },
  down: { tone: "bad", sign: "✕", word: "down" },
};
const PAST = 60;
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

// Numbers for people.

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const small = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });
const number = (value) => (value < 10 && !Number.isInteger(value) ? small.format(value) : compact.format(value < 1000 ? Math.round(value) : value));
const scaled = (value, units, step) => {
  const at = Math.min(units.length - 1, Math.floor(Math.log(Math.max(1, value)) / Math.log(step)));
  return `${number(value / step ** at)} ${units[at]}`;
};
const bytes = (value) => scaled(value, ["B", "kB", "MB", "GB", "TB"], 1000);
const time = (seconds) => (seconds >= 1 ? `${number(seconds)} s` : scaled(seconds * 1e9, ["ns", "µs", "ms"], 1000));
const duration = (seconds) => {
  const parts = [["d", 86400, Infinity], ["h", 3600, 24], ["min", 60, 60], ["s", 1, 60]].map(([unit, size, most]) => [Math.floor(seconds / size) % most, unit]);
  const first = parts.findIndex(([count], at) => count > 0 || at === 3);
  return parts.slice(first, first + 2).filter(([count], at) => at === 0 || count > 0).map((part) => part.join(" ")).join(" ");
};
const words = (key) => key.replaceAll("_", " ");

// Elements. What a record or a name says is always text, never markup.

function add(parent, name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function draw(parent, name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
}

// Touches the page only where it changes, so that a selection or a reader's place stays.
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Makes rows anew when there are others, and else says in each what is new.
function rows(list, entries, make, update) {
  const keys = JSON.stringify(entries.map(([key]) => key));
  if (list.dataset.keys !== keys) {
    list.dataset.keys = keys;
    list.replaceChildren();
    list.parts = new Map(entries.map(([key, value]) => [key, make(key, value)]));
  }
  for (const [key, value] of entries) update(list.parts.get(key), value);
}

function terms(list, entries) {
  const make = (key) => {
    add(list, "dt", "", key);
    return add(list, "dd");
  };
  rows(list, entries, make, (part, { text, count, tone }) => {
    say(part, text);
    part.className = tone || "";
    if (count !== undefined) part.dataset.count = count;
  });
}

// What a node lost or failed at, with the tone that it is told in. What a filter drops on purpose is no loss.
function losses(kind, counted) {
  const bad = [["errors", counted.errors], ["dropped by failure", counted.dropped_by_failure]];
  const dropped = { inputs: "matched no output", filters: "dropped", outputs: "given up" }[kind];
  return [
    ...bad.map(([key, count]) => [key, count, "bad"]),
    ["in quarantine", counted.quarantined, "warn"],
    [dropped, counted.dropped, kind === "filters" ? "" : "bad"],
    ["retries", counted.retries, "warn"],
    ...Object.entries(counted.failures || {}).map(([key, count]) => [words(key), count, "bad"]),
  ].filter(([, count]) => count !== undefined);
}

// A node of the pipeline: what was told of it last, and its card.
class Node {
  constructor(lane, kind, told) {
    this.kind = kind;
    this.name = told.name;
    this.card = add(lane, "article");
    this.card.dataset.node = `${kind}/${told.name}`;
    const head = add(this.card, "h3");
    this.button = add(head, "button", "", told.name);
    this.button.type = "button";
    this.button.title = told.name;
    this.button.setAttribute("aria-haspopup", "dialog");
    this.button.addEventListener("click", () => open(this));
    add(head, "span", "plugin", told.processor_of ? `${told.plugin}, processor` : told.plugin);
    const line = add(this.card, "p", "line"), rate = add(line, "span", "rate");
    this.rate = add(rate, "span", "", "-");
    add(rate, "span", "unit", " records/s");
    this.state = add(line, "span", "state");
    const past = draw(this.card, "svg", { class: "past", preserveAspectRatio: "none", viewBox: `0 -1 ${PAST - 1} 12`, "aria-hidden": "true" });
    this.area = draw(past, "path", { class: "area" });
    this.line = draw(past, "path", {});
    this.list = add(this.card, "dl");
    this.ways = add(this.card, "p", "ways");
  }

  update(told) {
    this.told = told;
    const { last_minute: last } = told, { tone, sign, word } = STATES[told.state];
    this.card.dataset.state = tone;
    this.state.className = `state ${tone}`;
    say(this.state, told.state === "ok" ? "" : `${sign} ${word}`);
    const now = last.past.slice(-5);
    say(this.rate, now.length > 0 ? number(now.reduce((sum, count) => sum + count, 0) / now.length) : "-");
    this.curve(last.past);
    terms(this.list, this.figures(told, last));
  }

  // What is worth a row: what flows, what waits, and what went wrong in the last minute.
  figures(told, last) {
    const each = (count) => (last.seconds > 0 ? count / last.seconds : 0);
    const row = (key, text, count, tone) => [key, { text, count, tone }];
    const shown = [];
    if (last.bytes > 0) shown.push(row("throughput", `${bytes(each(last.bytes))}/s`));
    if (last.latency.count > 0) shown.push(row("latency", time(last.latency.seconds / last.latency.count)));
    if (told.pending > 0) shown.push(row("waiting", `${number(told.pending)} records`, told.pending));
    if (told.memory_bytes > 0) shown.push(row("in memory", bytes(told.memory_bytes), told.memory_bytes));
    if (told.guest_memory > 0) shown.push(row("guests' memory", bytes(told.guest_memory), told.guest_memory));
    if (told.stored_bytes > 0) shown.push(row("in storage", bytes(told.stored_bytes), told.stored_bytes));
    for (const [key, count, tone] of losses(this.kind, last)) {
      if (count > 0) shown.push(row(key, `${number(each(count))}/s`, count, tone));
    }
    return shown;
  }

  curve(past) {
    if (past.length < 2) return;
    const most = Math.max(1, ...past), start = PAST - past.length;
    const points = past.map((rate, index) => `${start + index},${(10 - 9 * rate / most).toFixed(2)}`);
    this.line.setAttribute("d", `M${points.join(" L")}`);
    this.area.setAttribute("d", `M${start},12 L${points.join(" L")} V12 Z`);
  }
}

let nodes = new Map();
let told = null;
const key = ({ kind, name }) => `${kind}/${name}`;

// The lanes of each column: what records go through one after the other. Processors stand with whom they belong to.
function arrange() {
  const filters = told.filters.map((node) => ["filters", node]);
  const processors = (kind, owner) => filters.filter(([, { processor_of: of }]) => of && of.kind === kind && of.name === owner.name);
  const shared = filters.filter(([, node]) => !node.processor_of);
  return {
    inputs: told.inputs.map((node) => [["inputs", node], ...processors("inputs", node)]),
    filters: shared.length > 0 ? [shared] : [],
    outputs: told.outputs.map((node) => [...processors("outputs", node), ["outputs", node]]),
  };
}

// Makes the cards anew when the pipeline is another one.
function build() {
  const columns = arrange();
  const keys = Object.values(columns).flat(2).map(([kind, node]) => `${kind}/${node.name}`);
  if (keys.join("\n") === [...nodes.keys()].join("\n")) return;
  $("pipeline").querySelectorAll("section").forEach((section) => section.remove());
  nodes = new Map();
  for (const [kind, lanes] of Object.entries(columns).filter(([, lanes]) => lanes.length > 0)) {
    const section = add($("pipeline"), "section", "column");
    section.dataset.kind = kind;
    section.setAttribute("aria-labelledby", `${kind}-title`);
    add(section, "h2", "", KINDS[kind].title).id = `${kind}-title`;
    for (const lane of lanes) {
      const place = add(section, "div", "lane");
      for (const [kind, node] of lane) nodes.set(`${kind}/${node.name}`, new Node(place, kind, node));
    }
  }
}

// The ways that records have taken: drawn, and in words for who does not see the lines.
function connect() {
  const edges = told.edges.map(({ from, to }) => [nodes.get(key(from)), nodes.get(key(to))]).filter(([from, to]) => from && to);
  for (const node of nodes.values()) {
    const to = edges.filter(([from]) => from === node).map(([, next]) => next.name);
    say(node.ways, to.length > 0 ? `to ${to.join(", ")}` : "");
  }
  const frame = $("pipeline").getBoundingClientRect();
  const place = ({ card }) => {
    const { left, top, width, height } = card.getBoundingClientRect();
    const [x, y] = [left - frame.left, top - frame.top];
    return { card, column: card.closest("section"), left: x, right: x + width, top: y, bottom: y + height, middle: x + width / 2, level: y + 56 };
  };
  $("edges").replaceChildren();
  const taken = new Map();
  for (const [from, to] of edges) {
    draw($("edges"), "path", { d: path(place(from), place(to), taken), class: to.told.state === "down" ? "bad" : "" });
  }
}

// From card to card. Lines that pass the cards between them through one gap keep apart: `taken` counts them.
function path(from, to, taken) {
  if (from.column === to.column) {
    if (from.card.nextElementSibling === to.card) return `M${from.middle},${from.bottom} V${to.top}`;
    const out = from.right + 28;
    return `M${from.right},${from.level} C${out},${from.level} ${out},${to.level} ${to.right},${to.level}`;
  }
  const curve = (x, y, toX, toY) => `C${(x + toX) / 2},${y} ${(x + toX) / 2},${toY} ${toX},${toY}`;
  const between = from.column.nextElementSibling;
  if (between === to.column) return `M${from.right},${from.level} ${curve(from.right, from.level, to.left, to.level)}`;
  // Past the cards of the column between, where there is room.
  const frame = $("pipeline").getBoundingClientRect();
  const boxes = [...between.querySelectorAll("article")].map((card) => card.getBoundingClientRect());
  const [left, right] = [boxes[0].left - frame.left, boxes[0].right - frame.left];
  const gaps = [boxes[0].top - frame.top - 9, ...boxes.map((box) => box.bottom - frame.top + 9)];
  const wish = (from.level + to.level) / 2;
  const gap = gaps.reduce((best, gap) => (Math.abs(gap - wish) < Math.abs(best - wish) ? gap : best));
  const others = taken.get(gap) || 0;
  taken.set(gap, others + 1);
  const level = gap + (others % 2 === 0 ? others : -others - 1) * 2;
  return `M${from.right},${from.level} ${curve(from.right, from.level, left, level)} H${right} ${curve(right, level, to.left, to.level)}`;
}

// What is wrong now, on top.

function verdict() {
  const { problems } = told;
  const tones = problems.map(({ state }) => STATES[state].tone);
  const tone = tones.includes("bad") ? "bad" : tones.includes("warn") ? "warn" : "good";
  $("problems").dataset.state = tone;
  $("verdict").className = tone;
  const sign = { bad: "✕", warn: "▲", good: "●" }[tone];
  const count = problems.length === 1 ? "One thing is" : `${problems.length} things are`;
  say($("verdict"), problems.length === 0 ? `${sign} All is well` : `${sign} ${count} wrong now`);
  document.title = problems.length === 0 ? "flb-agent" : `(${problems.length}) flb-agent`;
  const list = $("problems").querySelector("ul");
  const entries = problems.map((problem, at) => [`${key(problem)}/${at}`, problem]);
  rows(list, entries, (_, problem) => problemItem(list, problem), ({ sign, text, reason }, problem) => {
    sign.className = STATES[problem.state].tone;
    say(sign, `${STATES[problem.state].sign} ${STATES[problem.state].word}: `);
    say(text, ` ${sentence(problem)}`);
    say(reason, (problem.reason || "").split("\n")[0]);
  });
}

function problemItem(list, problem) {
  const item = add(list, "li"), line = add(item, "p");
  const sign = add(line, "span");
  line.append(`${KINDS[problem.kind].one} `);
  const button = add(line, "button", "", problem.name);
  button.type = "button";
  button.setAttribute("aria-haspopup", "dialog");
  button.addEventListener("click", () => open(nodes.get(key(problem))));
  return { sign, text: add(line, "span"), reason: add(item, "p", "reason") };
}

function sentence({ message, next_try_ms: wait }) {
  const next = wait === null ? "" : wait < 1000 ? ", next try now" : `, next try in ${duration(Math.round(wait / 1000))}`;
  return message + next;
}

function totals() {
  const { storage } = told;
  const sum = (list) => list.reduce((all, { last_minute: { past } }) => all + (past.at(-1) || 0), 0);
  const entries = [
    ["in", `${number(sum(told.inputs))} records/s`],
    ["out", `${number(sum(told.outputs))} records/s`],
    ["chunks", `${number(storage.chunks)}, ${number(storage.mem_chunks)} in memory, ${number(storage.fs_chunks)} in files`],
    ["memory of records", bytes(storage.memory_bytes)],
    ["storage", bytes(storage.stored_bytes)],
  ];
  const list = $("totals");
  const make = (key) => {
    const group = add(list, "div");
    add(group, "dt", "", key);
    return add(group, "dd");
  };
  rows(list, entries, make, say);
  say($("host"), told.hostname);
  say($("about"), `version ${told.version}, running for ${duration(Math.floor(told.uptime_ms / 1000))}`);
}

// One node, in a dialog that the address names: #outputs/siem.

let opened = null;

function open(node) {
  if (!node) return;
  opened = node;
  history.replaceState(null, "", `#${node.kind}/${encodeURIComponent(node.name)}`);
  say($("node-name"), node.name);
  say($("node-plugin"), `${KINDS[node.kind].one}, ${node.told.plugin}`);
  $("node-sample").replaceChildren();
  $("node-errors").replaceChildren();
  $("node-options").replaceChildren();
  delete $("node-errors").dataset.told;
  if (!$("node").open) $("node").showModal();
  $("node").scrollTop = 0;
  detail();
  sample();
}

function close() {
  opened = null;
  history.replaceState(null, "", location.pathname);
}

function follow() {
  const [kind, name] = decodeURIComponent(location.hash.slice(1)).split(/\/(.*)/s);
  if (kind in KINDS && !opened) open(nodes.get(`${kind}/${name}`));
}

async function ask(path) {
  const answer = await fetch(path);
  return answer.json();
}

const at = (what, node) => `/api/v1/${what}/${node.kind}/${encodeURIComponent(node.name)}`;

async function detail() {
  const node = opened;
  if (!node) return;
  figures(node);
  const list = $("node-problems");
  const own = told.problems.filter((problem) => key(problem) === key(node)).map((problem, at) => [at, problem]);
  const { tone, sign, word } = STATES[node.told.state];
  if (own.length === 0) own.push([0, null]);
  rows(list, own, () => [add(list, "p"), add(list, "p", "reason")], ([line, reason], problem) => {
    line.className = problem ? STATES[problem.state].tone : tone;
    say(line, problem ? `${STATES[problem.state].sign} ${STATES[problem.state].word}: ${sentence(problem)}` : `${sign} ${word}`);
    say(reason, problem?.reason || "");
  });
  const { errors, options } = await ask(at("nodes", node)).catch(() => ({}));
  if (node !== opened || !errors) return;
  const text = JSON.stringify([errors, options]);
  if ($("node-errors").dataset.told === text) return;
  $("node-errors").dataset.told = text;
  $("node-errors").replaceChildren();
  if (errors.length === 0) add($("node-errors"), "li", "", "None so far.");
  for (const { time, level, message, times } of errors) {
    const item = add($("node-errors"), "li");
    add(item, "span", level === "error" ? "bad" : "warn", level === "error" ? "▲ error " : "△ warning ");
    const when = add(item, "time", "", new Date(time).toLocaleTimeString());
    when.dateTime = time;
    if (times > 1) item.append(` ${times} times`);
    add(item, "pre", "", message);
  }
  $("node-options").replaceChildren();
  for (const { key, value, is_default: isDefault } of options) {
    add($("node-options"), "dt", "", key);
    add($("node-options"), "dd", isDefault ? "default" : "", isDefault ? `${value} (default)` : value);
  }
}

// What it counted: in the last minute, a second of that, and in all.
function figures(node) {
  const { told } = node, { last_minute: last } = told;
  const [head, body] = [$("node-figures").tHead, $("node-figures").tBodies[0]];
  const line = (parent, cell, texts) => {
    const row = add(parent, "tr");
    return texts.map((text, at) => {
      const made = add(row, at === 0 ? "th" : cell, "", text);
      if (cell === "th" || at === 0) made.scope = cell === "th" ? "col" : "row";
      return made;
    });
  };
  const span = last.seconds >= 60 ? "last minute" : `last ${Math.round(last.seconds)} s`;
  if (head.rows.length === 0) line(head, "th", ["", span, "a second", "in all"]);
  say(head.rows[0].cells[1], span);
  const each = (count) => (last.seconds > 0 ? number(count / last.seconds) : "-");
  const recent = new Map(losses(node.kind, last));
  const lost = losses(node.kind, told).filter(([, count]) => count > 0).map(([key, count]) => [key, [number(recent.get(key) ?? 0), each(recent.get(key) ?? 0), number(count)]]);
  if (lost.length === 0) lost.push(["losses and failures", ["none", "", "none"]]);
  const mean = ({ count, seconds }) => (count > 0 ? time(seconds / count) : "-");
  const entries = [
    ["records", [number(last.records), each(last.records), number(told.records)]],
    ["bytes", [bytes(last.bytes), last.seconds > 0 ? bytes(last.bytes / last.seconds) : "-", bytes(told.bytes)]],
    ["latency, mean", [mean(last.latency), "", mean(told.latency)]],
    ...lost,
  ];
  const has = now(told).map(([key, text]) => [key, { text }]);
  $("now").parentElement.hidden = has.length === 0;
  terms($("node-now"), has);
  rows(body, entries, (key) => line(body, "td", [key, "", "", ""]).slice(1), (cells, texts) => cells.forEach((cell, at) => say(cell, texts[at])));
}

// What a node has now.
function now(told) {
  const found = [];
  if (told.tags?.length > 0) found.push(["tags", told.tags.join(", ")]);
  if ("memory_bytes" in told) {
    const limit = told.memory_limit_bytes ? ` of ${bytes(told.memory_limit_bytes)}` : "";
    found.push(["memory of records", bytes(told.memory_bytes) + limit]);
  }
  if ("pending" in told) found.push(["records that wait", number(told.pending)]);
  if (told.chunks) found.push(["chunks", Object.entries(told.chunks).map(([key, count]) => `${count} ${words(key)}`).join(", ")]);
  if (told.stored_bytes > 0) found.push(["in storage", `${bytes(told.stored_bytes)}, ${number(told.free_percent)} % free`]);
  const common = new Set(["records", "bytes", "dropped", "dropped_by_failure", "quarantined", "errors", "retries", "pending", "memory_bytes", "memory_limit_bytes", "stored_bytes", "free_percent"]);
  for (const [key, value] of Object.entries(told)) {
    if (typeof value === "number" && !common.has(key)) found.push([words(key), told.units?.[key] === "bytes" ? bytes(value) : number(value)]);
  }
  return found;
}

// A record before and after, if the operator lets one be seen.
async function sample() {
  const node = opened, place = $("node-sample");
  $("again").hidden = !told.tap;
  if (!told.tap) {
    place.replaceChildren();
    add(place, "p", "", "Records are shown with HTTP_Tap on in the service section.");
    return;
  }
  $("again").disabled = true;
  if (!place.hasChildNodes()) add(place, "p", "", "Waiting for a record ...");
  const found = await ask(at("tap", node)).catch((error) => ({ error: error.message }));
  $("again").disabled = false;
  if (node !== opened) return;
  place.replaceChildren();
  if (found.error) return void add(place, "p", "bad", found.error);
  if (found.fate === null) return void add(place, "p", "", "No record came within five seconds.");
  const text = (record) => (record ? JSON.stringify(record.body, null, 2).split("\n") : []);
  const [before, after] = [text(found.before), found.after.flatMap(text)];
  add(place, "p", "", found.more > 0 ? `${found.fate}, with ${found.more} more` : found.fate);
  if (found.before) lines(place, `Before, tag ${found.before.tag}`, text(found.before), found.after.length > 0 ? new Set(after) : null, "del", "− ");
  for (const record of found.after) lines(place, `After, tag ${record.tag}`, text(record), found.before ? new Set(before) : null, "ins", "+ ");
}

// A record's lines; those that the other side does not have are marked.
function lines(place, title, own, other, mark, sign) {
  const block = add(place, "pre");
  block.setAttribute("aria-label", title);
  place.insertBefore(Object.assign(document.createElement("small"), { textContent: title }), block);
  for (const line of own) {
    const isOwn = other !== null && !other.has(line) && !other.has(`${line},`) && !other.has(line.replace(/,$/, ""));
    if (isOwn) add(block, mark, "", `${sign}${line}`);
    else block.append(`  ${line}`);
    block.append("\n");
  }
}

function show() {
  build();
  for (const kind of Object.keys(KINDS)) {
    for (const node of told[kind]) nodes.get(`${kind}/${node.name}`).update(node);
  }
  verdict();
  totals();
  connect();
  if (opened) opened = nodes.get(key(opened)) || opened;
  follow();
  detail();
}

async function tick() {
  const answer = await ask("/api/v1/pipeline").catch(() => null);
  setTimeout(tick, 1000);
  $("pipeline").className = answer ? "" : "stale";
  if (answer) {
    told = answer;
    show();
  } else {
    $("problems").dataset.state = "bad";
    $("verdict").className = "bad";
    say($("verdict"), "✕ The agent does not answer");
  }
}

$("close").addEventListener("click", () => $("node").close());
$("node").addEventListener("close", close);
// A click beside the dialog closes it.
$("node").addEventListener("click", (event) => event.target === $("node") && $("node").close());
$("again").addEventListener("click", sample);
addEventListener("hashchange", follow);
addEventListener("resize", () => told && connect());
tick();
