// Asks /v1/status and /v1/processes, and shows what they say. Text of processes is only ever set as
// text: nothing that a process calls itself becomes markup.
"use strict";

const STATUS_MS = 2000, TREE_MS = 3000, PATIENCE = 2, SAMPLES = 120, ROWS_MAX = 2000, GAPS_MAX = 5;
const element = (id) => document.getElementById(id);
const make = (tag, className, text) => {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
};
const number = (value) => value.toLocaleString("en");
const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
// control characters, and those that turn the direction of text, are shown and never obeyed
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const shown = (text) =>
  text.replace(HIDDEN, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

// ---- status

let before = null;
const rates = [];

function showStatus(now) {
  const missing = now.losing;
  const well = now.healthy && !now.imbalance;
  const [level, word] = !well ? ["bad", now.healthy ? "its account does not add up" : now.reason]
    : missing ? ["warn", "well, with losses"] : ["good", "well"];
  document.body.className = level;
  element("word").textContent = word;
  element("host").textContent =
    `${location.host}, version ${now.version}, Linux ${now.kernel}, up ${span(now.uptime_seconds)}`;
  const total = (answer) => Object.values(answer.events).reduce((a, b) => a + b, 0);
  if (before && before.pid === now.pid) {
    const seconds = Math.max(0.001, now.uptime_seconds - before.uptime_seconds);
    const rate = (total(now) - total(before)) / seconds;
    rates.push(rate);
    if (rates.length > SAMPLES) rates.shift();
    element("rate").textContent = number(Math.round(rate));
    drawSpark();
    const cpu = 100 * (now.cpu_seconds - before.cpu_seconds) / seconds;
    element("cost").textContent = `${cpu.toFixed(1)} % CPU`;
  }
  before = now;
  const dropped = now.sinks.reduce((sum, sink) => sum + sink.dropped, 0);
  element("lost").textContent = number(now.lost);
  element("lost").className = missing ? "bad" : "";
  element("lost-more").textContent =
    `of ${number(total(now))} events${dropped ? `; ${number(dropped)} dropped by sinks` : ""}`;
  const p99 = now.latency_seconds.p99;
  element("latency").textContent = p99 === null ? "–" : `${+(p99 * 1000).toPrecision(3)} ms`;
  element("live").textContent = number(now.tree.live);
  element("exited").textContent = `${number(now.tree.exited)} exited lately`;
  const filled = 100 * now.transport.used_bytes / now.transport.buffer_bytes;
  element("buffer").textContent = `${filled.toFixed(0)} % full`;
  element("transport").textContent = `${now.transport.kind}, ${mib(now.transport.buffer_bytes)}`;
  element("memory").textContent = mib(now.resident_bytes);
}

function span(seconds) {
  const days = Math.floor(seconds / 86400), hours = Math.floor(seconds / 3600) % 24;
  const minutes = Math.floor(seconds / 60) % 60;
  return days ? `${days} d ${hours} h` : hours ? `${hours} h ${minutes} min` : `${minutes} min`;
}

function drawSpark() {
  const top = Math.max(1, ...rates);
  const points = rates.map((rate, i) => `${i + SAMPLES - rates.length},${29 - 28 * rate / top}`);
  element("spark").firstElementChild.setAttribute("points", points.join(" "));
}

// ---- tree

let processes = [], open = new Map();

// as one would type it
const quoted = (word) => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
const command = (process) =>
  [process.executable || process.name, ...process.args.slice(1)].map(shown).map(quoted).join(" ");
const user = (process) => process.user ? process.user.name || process.user.id : "?";
const place = (process) =>
  process.container ? process.container.slice(0, 12) : process.unit || process.slice || "";

function ending(process) {
  if (process.live) return "";
  if (process.signal !== null) return `[signal ${process.signal}]`;
  return process.exit_code === null ? "[found gone]" : `[status ${process.exit_code}]`;
}

// a word or more to look for; anything with an operator is a filter for the daemon
const isFilter = (text) => /[=~<>]|\bin\s*\(|^not\s|\sand\s|\sor\s/.test(text);

function wanted(process, words) {
  const text = `${process.pid} ${command(process)} ${user(process)} ${place(process)}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

function forest(rows) {
  const byId = new Map(rows.map((row) => [row.entity_id, { row, children: [] }]));
  const roots = [];
  for (const node of byId.values()) {
    const above = [node.row.creator, node.row.parent]
      .map((other) => other && other.entity_id !== node.row.entity_id && byId.get(other.entity_id))
      .find(Boolean);
    (above ? above.children : roots).push(node);
  }
  const byStart = (a, b) => a.row.start < b.row.start ? -1 : a.row.start > b.row.start ? 1 : a.row.pid - b.row.pid;
  for (const node of byId.values()) node.children.sort(byStart);
  return { byId, roots: roots.sort(byStart) };
}

function keepLines(rows, words) {
  if (!words.length) return rows;
  const byId = new Map(rows.map((row) => [row.entity_id, row])), kept = new Map();
  for (const row of rows.filter((process) => wanted(process, words))) {
    for (let at = row; at && !kept.has(at.entity_id);) {
      kept.set(at.entity_id, at);
      const other = at.creator || at.parent;
      at = other && byId.get(other.entity_id);
    }
  }
  return [...kept.values()];
}

function* lines(nodes, lead) {
  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[i], last = i === nodes.length - 1, leaf = !node.children.length;
    let times = 1;
    while (leaf && i + 1 < nodes.length && alike(node, nodes[i + 1])) { times++; i++; }
    const ends = last || i === nodes.length - 1;
    yield { row: node.row, times, branch: lead === null ? "" : lead + (ends ? "└─" : "├─") };
    yield* lines(node.children, lead === null ? "" : lead + (ends ? "  " : "│ "));
  }
}

const alike = (one, two) => !two.children.length && one.row.live === two.row.live
  && one.row.exit_code === two.row.exit_code && command(one.row) === command(two.row);

function showTree() {
  const query = element("query").value.trim();
  const words = isFilter(query) ? [] : query.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = keepLines(processes, words);
  const made = [];
  for (const line of lines(forest(rows).roots, null)) {
    if (made.length >= ROWS_MAX) break;
    made.push(rowOf(line));
    const about = open.get(line.row.entity_id);
    if (about) made.push(about);
  }
  element("tree").replaceChildren(...made);
  if (!element("message").classList.contains("bad")) {
    const matches = words.length ? rows.filter((row) => wanted(row, words)).length : rows.length;
    element("message").textContent = `${number(matches)} of ${number(processes.length)} processes`
      + (made.length >= ROWS_MAX ? `, the first ${number(ROWS_MAX)} lines; search for the rest` : "");
  }
}

function rowOf({ row, times, branch }) {
  const made = make("div", row.live ? "row" : "row exited", "");
  made.setAttribute("role", "treeitem");
  made.tabIndex = 0;
  made.dataset.entity = row.entity_id;
  const failed = row.signal !== null || row.exit_code;
  made.append(
    make("span", "branch", branch), make("span", "pid", `${times > 1 ? `${times} × ` : ""}${row.pid}`),
    make("span", "who", [shown(user(row)), shown(place(row))].filter(Boolean).join(" ")),
    make("span", "what", command(row)), make("span", failed ? "end bad" : "end", ending(row)));
  return made;
}

async function toggle(entity) {
  if (open.delete(entity)) return showTree();
  const answer = await (await fetch(`v1/explain?id=${entity}`)).json();
  open.set(entity, make("div", "about", answer.error ? answer.error : about(answer)));
  showTree();
}

function about({ process, images, ancestors, children, gaps }) {
  const facts = [
    ["entity", process.entity_id], ["started", process.start],
    ...images.map((image) => ["ran", command(image)]),
    ["by", [...ancestors].reverse().map((above) => `${above.pid} ${shown(above.name)}`).join(" → ")],
    ["user", shown(user(process))], ["cgroup", process.cgroup && shown(process.cgroup)],
    ["container", process.container], ["terminal", process.tty && shown(process.tty)],
    ["children", children.length], ["below, CPU", `${process.finished_cpu_seconds.toFixed(2)} s`],
    ["ended", process.end && `${process.end} ${ending(process)}`],
    ...gaps.slice(-GAPS_MAX).map((gap) => ["gap", gapOf(gap)]),
    ["suspect", process.suspect && "events were lost since this was verified"],
  ];
  return facts.filter(([, value]) => value).map(([name, value]) => `${name.padEnd(11)}${value}`).join("\n");
}

function gapOf({ from, to, count, kind, cpu, stage }) {
  const what = `${number(count)} ${kind ? `${kind} ` : ""}events lost`;
  return `${from || "?"} to ${to}: ${what}${cpu === null ? "" : ` on CPU ${cpu}`} (${stage})`;
}

// ---- asking

async function askProcesses() {
  const query = element("query").value.trim();
  const parameters = new URLSearchParams({ exited: element("show-exited").checked ? "1" : "0" });
  if (isFilter(query)) parameters.set("filter", query);
  const answer = await fetch(`v1/processes?${parameters}`);
  element("locked").hidden = answer.status !== 403;
  element("search").hidden = answer.status === 403;
  if (answer.status === 403) return;
  const text = await answer.text();
  const message = element("message");
  message.className = answer.ok ? "" : "bad";
  if (!answer.ok) {
    message.textContent = JSON.parse(text).error;
    return;
  }
  processes = text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  showTree();
}

async function askStatus() {
  showStatus(await (await fetch("v1/status")).json());
}

// as often as said, but a daemon that takes long over its answers is asked less
function keepAsking(ask, period) {
  let timer = null, asking = false, again = false;
  async function turn() {
    clearTimeout(timer);
    again = asking;
    if (asking) return;
    asking = true;
    const begun = performance.now();
    try {
      if (!document.hidden) await ask();
    } catch (error) {
      document.body.className = "bad";
      element("word").textContent = "no answer";
    }
    asking = false;
    timer = setTimeout(turn, again ? 0 : Math.max(period, PATIENCE * (performance.now() - begun)));
  }
  document.addEventListener("visibilitychange", () => document.hidden || turn());
  turn();
  return turn;
}

keepAsking(askStatus, STATUS_MS);
const askNow = keepAsking(askProcesses, TREE_MS);
let typing = null;
element("query").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(askNow, 250);
});
element("show-exited").addEventListener("change", askNow);
element("search").addEventListener("submit", (event) => event.preventDefault());
element("tree").addEventListener("click", (event) => {
  const row = event.target.closest(".row");
  if (row) toggle(row.dataset.entity);
});
element("tree").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.dataset.entity) toggle(event.target.dataset.entity);
});
