// The registry page. Everything that comes from the registry is shown as text: no markup is ever made of it.
"use strict";

const STATES = {
  up: "Up", suspect: "Suspect", ejected: "Ejected", trial: "On trial", draining: "Draining", idle: "Weight 0",
};
const EXPLAINED = {
  up: "gets calls", suspect: "its backend suspects it to be gone", ejected: "this process calls it no more for a while",
  trial: "back, until the next outcome decides", draining: "takes its leave and serves on", idle: "gets no calls",
};
const COLUMNS = [
  ["node", "Host name", "node"], ["state", "State", "cell-state"], ["address", "Base URL", "address"],
  ["weight", "Weight", "figure right weight"], ["latency", "Latency", "figure right latency"],
  ["inflight", "In flight", "figure right inflight"], ["uptime", "Uptime", "figure right uptime"],
  ["build", "Build", "build"], ["", "Note", "note"], ["", "", "act"],
];
const SORTS = [
  ["", "Service and address"], ["state", "State, the worst first"], ["node", "Host name"], ["-latency", "Latency, the slowest first"],
  ["-inflight", "In flight, the most first"], ["-weight", "Weight, the largest first"], ["-uptime", "Uptime, the oldest first"],
  ["uptime", "Uptime, the youngest first"], ["age", "State, the latest change first"],
];
const MINUTES = 10, SCREENFUL = 100, PATIENCE = 30_000;

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const wish = new URLSearchParams(location.search);
const rows = new Map();      // by id, as they came
const shown = new Map();     // by id, what is in the document
const groups = new Map();    // by registry and service, their part of the table
const fresh = new Set();     // ids that came while somebody looked
const open = new Set();      // ids whose details are open
const closed = new Set();    // groups that are folded
let order = [], summary = null, points = [], stream = null, etag = "", timer = 0, turn = 0, first = true, polls = false;

// -- text that is safe to look at: what would turn the line round or is not to be seen is named

const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
const visible = (text) => String(text).replace(UNSEEN, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
const said = (value) => typeof value === "string" ? visible(value) : visible(JSON.stringify(value));

function make(tag, className = "", ...inside) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...inside);
  return node;
}
function put(node, text) {
  const only = node.childNodes.length === 1 ? node.firstChild : null;
  if (only && only.nodeType === Node.TEXT_NODE) { if (only.data !== text) only.data = text; }
  else if (node.textContent !== text) node.textContent = text;
  return node;
}
function text(tag, className, value) { return put(make(tag, className), visible(value)); }
function shape(state) {
  const svg = document.createElementNS(SVG, "svg"), use = document.createElementNS(SVG, "use");
  svg.setAttribute("class", "shape"); svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", "#shape-" + state); svg.append(use);
  return svg;
}
function plural(count, what) { return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`; }

// -- times

const now = () => Date.now() / 1000;
function ago(seconds, long) {
  let left = Math.max(0, Math.floor(seconds)), parts = [];
  for (const [name, size] of [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]]) {
    const count = Math.floor(left / size); left -= count * size;
    if (count) parts.push(long ? `${count} ${name}${count === 1 ? "" : "s"}` : count + name[0]);
  }
  return parts.slice(0, 2).join(" ") || (long ? "0 seconds" : "0s");
}
function duration(seconds) {
  if (seconds === null) return "–";
  if (seconds < 1) return `${Number((seconds * 1000).toPrecision(2))} ms`;
  return `${Number(seconds.toPrecision(3))} s`;
}
const registered = (row) => row.registerAt ? Date.parse(row.registerAt) / 1000 : null;

// -- one row

function rowNode(id) {
  const tr = make("tr"); tr.setAttribute("role", "row"); tr.dataset.id = id;
  const cells = {};
  for (const [, label, className] of COLUMNS) {
    const td = make("td", className); td.setAttribute("role", "cell");
    if (label) td.dataset.label = label;
    cells[className.split(" ").pop()] = td; tr.append(td);
  }
  const node = { tr, cells, row: null, detail: null, parts: {} }, part = node.parts;
  part.name = make("bdi"); part.service = make("span", "small line"); part.sources = make("span", "small line");
  cells.node.append(make("div", "strong line", part.name), part.service, part.sources);
  part.state = make("span", "state"); part.age = make("span", "small"); part.why = make("span", "small clip");
  cells["cell-state"].append(part.state, part.age, part.why);
  part.link = make("a", "mono line"); part.link.target = "_blank"; part.link.rel = "noopener noreferrer"; part.link.tabIndex = -1;
  cells.address.append(part.link);
  part.more = make("button", "more"); part.more.type = "button"; part.more.tabIndex = -1;
  part.more.setAttribute("aria-expanded", "false");
  part.more.addEventListener("click", () => toggle(id));
  part.chips = make("div", "chips"); cells.note.append(part.chips); cells.act.append(part.more);
  return node;
}

function fill(node, row) {
  const before = node.row, part = node.parts, cells = node.cells;
  node.row = row;
  put(part.name, visible(row.hostname || row.host));
  part.name.parentNode.title = part.name.textContent;
  const several = summary.registries.length > 1 ? `${row.registry} · ` : "";
  put(part.service, grouped() && !several ? "" : visible(several + row.svcName));
  if (!before || before.state !== row.state) {
    part.state.className = "state " + row.state;
    part.state.replaceChildren(shape(row.state), STATES[row.state]);
    part.state.title = EXPLAINED[row.state];
    node.tr.dataset.state = row.state;
  }
  const slow = row.slowStart === null ? "" : `slow start at ${Math.round(row.slowStart * 100)} %`;
  const again = row.ejectedFor === null ? "" : `tried again in ${Math.ceil(row.ejectedFor)} s`;
  put(part.why, visible([row.reason, again, slow].filter(Boolean).join("; ")));
  put(part.link, visible(row.baseUrl));
  if (/^https?:\/\//.test(row.baseUrl)) part.link.href = row.baseUrl; else part.link.removeAttribute("href");
  put(cells.weight, row.weight.toLocaleString("en") + (row.dynamicWeight ? " ~" : ""));
  cells.weight.title = row.dynamicWeight ? "measured by the member itself" : "";
  put(cells.latency, duration(row.latency));
  put(cells.inflight, String(row.inFlight));
  put(part.sources, visible(row.sources.join(" + ")));
  if (!before || before.goVer !== row.goVer || before.gddVer !== row.gddVer || before.buildUser !== row.buildUser || before.buildTime !== row.buildTime) {
    cells.build.replaceChildren(text("div", "mono line", [row.goVer, row.gddVer].filter(Boolean).join(" · ") || "–"),
      text("div", "small line", [row.buildUser, row.buildTime].filter(Boolean).join(", ")));
  }
  if (!before || JSON.stringify(before.data) !== JSON.stringify(row.data)) {
    const entries = Object.entries(row.data), few = entries.slice(0, 2);
    part.chips.replaceChildren(...few.map(([key, value]) => text("span", "chip", `${key}=${said(value)}`)));
    if (entries.length > few.length) part.chips.append(text("span", "small", `+${entries.length - few.length}`));
  }
  part.more.setAttribute("aria-label", `Details of ${visible(row.hostname || row.host)}, ${visible(row.svcName)}`);
  if (node.detail) details(node);
  ages(node);
}

// Only the ages that are seen go on: a thousand of them would have the whole table laid out anew every second.
const near = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const node = shown.get(Number(entry.target.dataset.id));
    if (entry.isIntersecting && node) { near.add(node); ages(node); } else near.delete(node);
  }
}, { rootMargin: "100px" });

function ages(node) {
  const row = node.row, since = registered(row);
  // An ejection is ours, and says when it ends; the age is that of what the backends say.
  const ours = row.state === "ejected" || row.state === "trial" || row.stateSince === null;
  put(node.parts.age, ours ? "" : "for " + ago(now() - row.stateSince));
  put(node.cells.uptime, since === null ? "–" : ago(now() - since));
}

function toggle(id) {
  const node = shown.get(id), opening = !open.has(id);
  if (opening) open.add(id); else open.delete(id);
  node.parts.more.setAttribute("aria-expanded", String(opening));
  if (!opening) { node.detail.remove(); node.detail = null; return; }
  node.detail = make("tr", "details"); node.detail.setAttribute("role", "row");
  node.detail.id = "details-" + id; node.parts.more.setAttribute("aria-controls", node.detail.id);
  details(node); node.tr.after(node.detail);
}

function details(node) {
  const row = node.row, list = make("dl"), td = make("td");
  td.colSpan = COLUMNS.length; td.setAttribute("role", "cell");
  const add = (name, value, className = "") => {
    if (value === null || value === "" || value === undefined) return;
    const dd = make("dd", className);
    dd.append(value instanceof Node ? value : text("bdi", "", value));
    list.append(make("div", "", text("dt", "", name), dd));
  };
  add("Service", row.svcName);
  const link = make("a"); put(link, visible(row.baseUrl));
  if (/^https?:\/\//.test(row.baseUrl)) { link.href = row.baseUrl; link.target = "_blank"; link.rel = "noopener noreferrer"; }
  add("Base URL", link, "mono");
  add("Node", row.hostname); add("Host", row.host, "mono"); add("Port", row.svcPort); add("Gossip port", row.memPort);
  add("State", `${STATES[row.state]}: ${EXPLAINED[row.state]}`); add("Reason", row.reason);
  add("Registered", row.registerAt && new Date(row.registerAt).toLocaleString());
  add("Reported by", row.sources.join(", ")); add("Seen by the registry", row.registry);
  add("Share of the calls", `${Number((row.share * 100).toPrecision(3))} %`);
  add("Zone", row.zone && row.zone + (row.zoneShare === 1 ? "" : ` (${Math.round(row.zoneShare * 100)} % of its share)`));
  add("Slow start", row.slowStart === null ? "" : `${Math.round(row.slowStart * 100)} % of its share`);
  add("Latency, as calls are judged", row.latency === null ? "" : duration(row.latency));
  add("Calls that went well, of the last ten seconds", row.successRatio === null ? "" : `${Math.round(row.successRatio * 100)} %`);
  add("Failures in a row", row.failures || "");
  add("Go or Python", row.goVer); add("go-doudou", row.gddVer); add("Built by", row.buildUser); add("Built at", row.buildTime);
  for (const [key, value] of Object.entries(row.data)) add(`Note: ${visible(key)}`, said(value), "mono");
  td.append(list); node.detail.replaceChildren(td);
}

// -- the table

const grouped = () => wish.get("group") !== "0";

function groupOf(row) {
  const key = grouped() ? `${row.registry}\n${row.svcName}` : "";
  let group = groups.get(key);
  if (!group) {
    const body = make("tbody"); body.setAttribute("role", "rowgroup");
    group = { key, body, head: null, ids: [] };
    if (key) {
      const th = make("th"), tr = make("tr", "group", th), button = make("button"), facts = make("span"), call = make("span", "call");
      tr.setAttribute("role", "row"); th.setAttribute("role", "rowheader"); th.scope = "rowgroup"; th.colSpan = COLUMNS.length;
      button.type = "button"; button.setAttribute("aria-expanded", String(!closed.has(key)));
      body.classList.toggle("closed", closed.has(key));
      button.addEventListener("click", () => {
        if (closed.has(key)) closed.delete(key); else closed.add(key);
        body.classList.toggle("closed", closed.has(key)); button.setAttribute("aria-expanded", String(!closed.has(key)));
      });
      button.append(text("bdi", "", row.svcName)); th.append(button, facts, call); group.head = tr; group.facts = facts; group.call = call;
    }
    groups.set(key, group);
  }
  return group;
}

function nodeOf(id) {
  let node = shown.get(id);
  if (!node) {
    node = rowNode(id); shown.set(id, node); fill(node, rows.get(id)); watcher.observe(node.tr);
    if (fresh.delete(id)) arrived(node);
  }
  return node;
}

function forget(id) {
  const node = shown.get(id);
  if (node) { watcher.unobserve(node.tr); near.delete(node); }
  rows.delete(id); shown.delete(id); open.delete(id); fresh.delete(id);
}

function arrange(most = Infinity) {
  const focus = document.activeElement, parts = [], kept = new Set(order);
  for (const id of [...rows.keys()]) if (!kept.has(id)) forget(id);
  for (const group of groups.values()) group.ids = [];
  for (const id of order.slice(0, most)) {
    const group = groupOf(rows.get(id));
    if (!group.ids.length) parts.push(group);
    group.ids.push(id);
  }
  for (const [key, group] of groups) if (!group.ids.length) groups.delete(key);
  for (const group of parts) {
    const nodes = group.head ? [group.head] : [];
    for (const id of group.ids) { const node = nodeOf(id); nodes.push(node.tr); if (node.detail) nodes.push(node.detail); }
    const present = group.body.childNodes;
    if (present.length !== nodes.length || nodes.some((node, place) => present[place] !== node)) group.body.replaceChildren(...nodes);
  }
  const bodies = parts.map((group) => group.body), table = $("members");
  const there = [...table.tBodies];
  if (there.length !== bodies.length || bodies.some((body, place) => there[place] !== body)) {
    there.forEach((body) => body.remove()); table.append(...bodies);
  }
  if (focus && focus !== document.activeElement && focus.isConnected) focus.focus({ preventScroll: true });
  headings(); rove();
}

function headings() {
  for (const service of summary.services) {
    const group = groups.get(grouped() ? `${service.registry}\n${service.name}` : " ");
    if (!group) continue;
    const several = summary.registries.length > 1 ? ` · ${service.registry}` : "";
    put(group.facts, visible(`${service.up} of ${plural(service.members, "member")} up${several}${service.stale ? " · not confirmed at present" : ""}`));
    put(group.call, service.up === service.members ? "" : visible(service.call));
  }
}

function take(message) {
  performance.mark("take");
  summary = message;
  if (message.history) points = message.history.points.slice();
  for (const row of message.rows) {
    if (!first && !rows.has(row.id)) fresh.add(row.id);
    rows.set(row.id, row);
    const node = shown.get(row.id);
    if (node) fill(node, row);
  }
  if (message.order) {
    order = message.order;
    // What fits onto a screen is there at once; laying out a thousand rows takes a moment.
    if (first && order.length > SCREENFUL) { arrange(SCREENFUL); requestAnimationFrame(() => setTimeout(arrange)); } else arrange();
  }
  headings();
  overview(); backends(); picture(); announce();
  first = false;
  performance.clearMeasures("update"); performance.measure("update", "take"); performance.clearMarks("take");
}

function arrived(node) { node.tr.classList.add("new"); setTimeout(() => node.tr.classList.remove("new"), 1800); }

// -- around the table

function overview() {
  const box = $("states"), counts = summary.counts, chosen = wish.get("state") || "";
  const wanted = ["", ...Object.keys(STATES)].filter((state) => state === "" || state === "up" || state === "suspect" || counts[state] || state === chosen);
  const have = [...box.children].map((button) => button.dataset.state);
  if (wanted.join() !== have.join()) {
    box.replaceChildren(...wanted.map((state) => {
      const name = make("span", "name", ...(state ? [shape(state)] : []), state ? STATES[state] : "Members");
      const button = make("button", state, make("span", "number"), name);
      button.type = "button"; button.dataset.state = state;
      button.addEventListener("click", () => ask("state", wish.get("state") === state ? "" : state));
      return button;
    }));
  }
  for (const button of box.children) {
    const state = button.dataset.state, count = state ? counts[state] : summary.total;
    put(button.firstChild, count.toLocaleString("en"));
    button.className = (state || "every") + (count ? "" : " none");
    button.setAttribute("aria-pressed", String(chosen === state));
  }
  const part = summary.found > order.length ? `first ${order.length.toLocaleString("en")} of ` : "";
  const all = summary.found === summary.total ? plural(summary.total, "member") : `${summary.found.toLocaleString("en")} of ${plural(summary.total, "member")}`;
  put($("count"), `${part}${all}`);
  $("members").hidden = !order.length; $("empty").hidden = Boolean(order.length);
  if (!order.length) {
    const none = summary.total ? ["Nothing matches", "Try fewer words, or another state."] : ["Nobody is registered yet", emptyReason()];
    $("empty").replaceChildren(text("strong", "", none[0]), visible(none[1]));
  }
  put($("notice"), summary.notice); $("notice").hidden = !summary.notice;
}

function emptyReason() {
  const backend = summary.registries.flatMap((registry) => registry.backends).find((each) => !each.ready);
  return backend ? `${backend.mode}: ${backend.error || backend.message}` : "Start a service, and its row appears here by itself.";
}

function backends() {
  const parts = [], nodes = [];
  for (const registry of summary.registries) {
    const name = registry.name ? `${registry.name} · ` : "";
    if (!registry.running) parts.push(card("idle", `${name}registry`, "stopped", ""));
    for (const each of registry.backends) {
      const state = each.ready && each.authoritative ? "up" : each.running ? "suspect" : "ejected";
      const facts = [each.ready ? "ready" : "not ready", plural(each.nodes, each.mode === "memberlist" ? "node" : "instance")];
      if (each.healthScore !== null) facts.push(each.healthScore ? `health score ${each.healthScore}, in doubt about itself` : "healthy (Lifeguard 0)");
      if (each.restarts) facts.push(plural(each.restarts, "restart"));
      const told = [each.message, each.authoritative ? "" : `not authoritative: ${each.reason}`, each.error && `stopped by ${each.error}`];
      parts.push(card(state, name + each.mode, facts.join(" · "), told.filter(Boolean).join("; ")));
    }
    const remote = registry.configuration;
    if (remote) {
      const state = remote.refused.length || !remote.connected ? "suspect" : "up";
      const facts = [remote.connected ? "connected" : "not connected", remote.names.join(", ")];
      const told = [remote.message, ...remote.refused.map((each) => `refused: ${each}`)];
      parts.push(card(state, `${name}configuration from ${remote.kind}`, facts.filter(Boolean).join(" · "), told.filter(Boolean).join("; ")));
    }
    if (registry.doubt) parts.push(text("p", "doubt", `${name}in doubt about itself: ${registry.doubt}`));
    nodes.push(plural(registry.services, "service") + (registry.name ? ` in ${registry.name}` : ""));
  }
  const signature = parts.map((part) => part.textContent + part.className).join("\n");
  if ($("registries").dataset.signature !== signature) { $("registries").dataset.signature = signature; $("registries").replaceChildren(...parts); }
  put($("where"), visible(`${nodes.join(", ")} · seen from ${location.host} · pydoudou ${summary.version}`));
}

function card(state, name, facts, message) {
  const box = make("div", "backend"), mark = make("span", state, shape(state));
  box.append(mark, make("div", "", text("b", "", name), " ", text("span", "facts", facts)));
  if (message) box.append(text("p", "", message));
  return box;
}

function picture() {
  const time = now(), counts = Object.values(summary.counts), last = points[points.length - 1];
  if (!last || time - last[0] >= 1) points.push([time, ...counts]);
  points = points.filter((point) => point[0] >= time - MINUTES * 60);
  // Nobody has looked for longer than the first point says: the picture grows until it has its ten minutes.
  const minutes = Math.min(MINUTES, Math.max(1, Math.ceil((time - points[0][0]) / 60))), from = time - minutes * 60;
  put($("picture-from"), `${minutes} min ago`);
  const sum = (point) => point.slice(1).reduce((a, b) => a + b, 0), most = Math.max(1, ...points.map(sum));
  const bottom = points.map(() => 0), paths = [];
  Object.keys(STATES).forEach((state, place) => {
    const across = (t) => ((t - from) / minutes * 10).toFixed(1), high = (v) => (62 - v / most * 58).toFixed(1);
    if (!points.some((point) => point[place + 1])) return;
    let above = "", below = "";
    points.forEach((point, at) => {
      const low = bottom[at], top = low + point[place + 1], next = points[at + 1] ? points[at + 1][0] : time;
      above += `${at ? "L" : "M"}${across(point[0])} ${high(top)}L${across(next)} ${high(top)}`;
      below = `L${across(next)} ${high(low)}L${across(point[0])} ${high(low)}` + below;
      bottom[at] = top;
    });
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", above + below + "Z"); path.setAttribute("class", state); paths.push(path);
  });
  $("picture").replaceChildren(...paths);
  put($("picture-most"), `at most ${most.toLocaleString("en")}`);
  const suspects = Math.max(0, ...points.map((point) => point[2]));
  put($("picture-text"), `Members by state over the last ${MINUTES} minutes: ${summary.total} now, at most ${most}; at most ${suspects} suspected at a time`);
}

let announced = "";
function announce() {
  const counts = summary.counts;
  const told = Object.keys(STATES).filter((state) => counts[state]).map((state) => `${counts[state]} ${STATES[state].toLowerCase()}`).join(", ");
  if (told !== announced) { announced = told; put($("said"), `${plural(summary.total, "member")}: ${told || "none"}`); }
}

// -- what the viewer wants

function ask(name, value) {
  if (value) wish.set(name, value); else wish.delete(name);
  history.replaceState(null, "", wish.size ? "?" + wish : location.pathname);
  head(); for (const id of [...rows.keys()]) forget(id);
  groups.clear(); order = []; first = true;
  connect();
}

function head() {
  const sort = wish.get("sort") || "", column = sort.replace(/^-/, "");
  $("head").replaceChildren(...COLUMNS.map(([name, label, className]) => {
    const th = make("th", className.replace("figure ", "")); th.scope = "col"; th.setAttribute("role", "columnheader");
    if (!name) { th.append(label ? text("div", "plain", label) : text("span", "for-ears", "Details")); return th; }
    const button = text("button", "", label); button.type = "button"; button.dataset.sort = name;
    button.addEventListener("click", () => {
      ask("sort", sort === name ? "-" + name : sort === "-" + name ? "" : name);
      document.querySelector(`[data-sort="${name}"]`).focus();
    });
    if (column === name) th.setAttribute("aria-sort", sort.startsWith("-") ? "descending" : "ascending");
    th.append(button); return th;
  }));
  $("sort").value = SORTS.some(([value]) => value === sort) ? sort : "";
  $("grouped").checked = grouped();
}

function rove() {
  const buttons = [...document.querySelectorAll("tbody:not(.closed) .more")];
  if (buttons.length && !buttons.some((button) => button.tabIndex === 0)) buttons[0].tabIndex = 0;
}

$("members").addEventListener("keydown", (event) => {
  const at = event.target.closest(".more"), step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
  if (!at || step === undefined) return;
  const buttons = [...document.querySelectorAll("tbody:not(.closed) .more")];
  const next = buttons[Math.min(buttons.length - 1, Math.max(0, buttons.indexOf(at) + step))];
  at.tabIndex = -1; next.tabIndex = 0; next.focus(); event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|SELECT)$/.test(document.activeElement.tagName)) { $("search").focus(); event.preventDefault(); }
  if (event.key === "Escape" && document.activeElement === $("search") && $("search").value) { $("search").value = ""; ask("q", ""); }
});
let typing = 0;
$("search").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => ask("q", $("search").value.trim()), 150); });
$("tools").addEventListener("submit", (event) => event.preventDefault());
$("grouped").addEventListener("change", () => ask("group", $("grouped").checked ? "" : "0"));
$("sort").addEventListener("change", () => ask("sort", $("sort").value));
$("theme").addEventListener("click", () => {
  const next = { system: "light", light: "dark", dark: "system" }[theme()];
  localStorage.setItem("theme", next); dress();
});
function theme() { try { return localStorage.getItem("theme") || "system"; } catch { return "system"; } }
function dress() { document.documentElement.dataset.theme = theme(); put($("theme-name"), theme()); }

// -- live

function live(state, words) { $("live").dataset.state = state; put($("live-text"), words); }
// Without the password that may stand in the address: a request with one is refused by the browser.
const source = (name) => new URL(`${name}?${wish}`, location.origin + location.pathname);

function connect() {
  disconnect();
  if (polls || document.documentElement.dataset.live !== "events") { etag = ""; poll(); return; }
  const mine = stream = new EventSource(source("registry.events"));
  mine.onmessage = (event) => { if (mine === stream) { live("live", "live"); take(JSON.parse(event.data)); } };
  mine.onerror = () => {
    if (mine !== stream) return;
    live("off", "reconnecting");
    if (mine.readyState === EventSource.CLOSED) { polls = true; timer = setTimeout(connect, 2000); }
  };
}

// The next question follows the answer: a server that needs longer than the two seconds is shown late and not never.
async function poll() {
  const mine = ++turn;
  try {
    const headers = etag ? { "If-None-Match": etag } : {}, signal = AbortSignal.timeout(PATIENCE);
    const answer = await fetch(source("registry.json"), { headers, signal, cache: "no-store" });
    const message = answer.status === 200 ? await answer.json() : null;
    if (mine !== turn) return;
    if (message) {
      etag = answer.headers.get("ETag") || "";
      take({ ...message, order: message.rows.map((row) => row.id), history: points.length ? null : message.history });
      live("live", "live, every 2 s");
    } else if (answer.status === 304) live("live", "live, every 2 s"); else live("off", `answered ${answer.status}`);
  } catch { if (mine === turn) live("off", "no connection"); }
  if (mine === turn) timer = setTimeout(poll, 2000);
}

function disconnect() {
  if (stream) stream.close();
  stream = null; turn++; clearTimeout(timer); timer = 0;
}

document.addEventListener("visibilitychange", () => { if (document.hidden) disconnect(); else connect(); });
setInterval(() => {
  if (document.hidden || !summary) return;
  for (const node of near) ages(node);
  picture();
}, 1000);

$("sort").append(...SORTS.map(([value, label]) => { const option = text("option", "", label); option.value = value; return option; }));
$("search").value = wish.get("q") || "";
dress(); head(); connect();
