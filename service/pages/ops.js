// The page /ops: asks for the state every 3 s, and draws the last quarter of an hour.
// Whatever the server says is shown as text (textContent), never as HTML.
"use strict";

const PERIOD = 3000; // ms between two questions
const PATIENCE = 8000; // ms; an answer takes 5 s if everything hangs
const KEPT = 900; // seconds that the charts show
const WINDOW = 15000; // ms over which rates and percentiles are taken, if one is asked so often
const SURE = 5000; // ms in which a second click discards
const DOUBLE = 500; // ms in which it is the second half of a double click
const DOWN = { down: "down", behind: "behind the code", diverged: "diverged from the code" };
const digits = (v) => v.toFixed(v && v < 10 ? 1 : 0);
// By chart: the series with their lines, what a value reads like, and the least height of the axis.
const CHARTS = {
  rate: [{ requests: 0 }, (v) => `${digits(v)}/s`, 1],
  latency: [{ p50: 0, p95: 1, p99: 2 }, (v) => `${digits(v)} ms`, 10],
  errors: [{ "5xx": 3, "4xx": 1 }, (v) => `${digits(v)} %`, 5],
  depth: [{ waiting: 0 }, (v) => v.toFixed(0), 5],
};
const DASHES = [[], [7, 4], [2, 3], []]; // told apart without colours too
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5, 1e6];

const samples = new Map(); // instance → [{at, traffic}] of the last WINDOW
const rows = new Map(); // id of a failed job → its row
const plots = {}; // chart → uPlot
const past = []; // [{at, requests, p50, p95, p99, 5xx, 4xx, waiting}], a null where nothing is known
let seen = null; // when web answered last
let title = "operations";

const element = (id) => document.getElementById(id);
const clock = (time, seconds = true) =>
  new Date(time).toLocaleTimeString("en-GB", seconds ? {} : { hour: "2-digit", minute: "2-digit" });
const sum = (counts) => Object.values(counts).reduce((all, each) => all + each, 0);
const list = (counts) => Object.entries(counts).map(([key, n]) => `${key} ${n}`).join(", ") || "none";
const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
const short = (version) => (/^[0-9a-f]{40}$/.test(version) ? version.slice(0, 12) : version);
const colour = (variable) => getComputedStyle(document.body).getPropertyValue(variable);

function bytes(count) {
  const power = Math.max(0, Math.min(3, Math.floor(Math.log2(count || 1) / 10)));
  return `${(count / 1024 ** power).toFixed(power ? 1 : 0)} ${["B", "KiB", "MiB", "GiB"][power]}`;
}

function moment(time) {
  const day = new Date(time).toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  return day === new Date().toLocaleDateString("en-GB", { day: "numeric", month: "short" })
    ? clock(time) : `${day} ${clock(time, false)}`;
}

async function poll() {
  let state;
  try {
    const signal = AbortSignal.timeout(PATIENCE);
    const response = await fetch("/ops/state.json", { cache: "no-store", signal });
    if (response.status === 401) return location.reload(); // the session has ended: the form is there
    if (!response.ok) throw new Error(response.status);
    state = await response.json();
  } catch {
    return showSilence();
  }
  show(state);
}

function showSilence() {
  if (past.length) past.push({ at: Date.now() });
  draw();
  summarise("down", `web is not answering${seen ? ` since ${clock(seen)}` : ""}. What is below is as it was then.`);
  element("freshness").textContent = "Asking again every 3 s.";
}

function show(state) {
  seen = Date.parse(state.at);
  title = state.name;
  write(element("name"), `${title} operations`);
  write(element("about"), `${state.environment} · version ${short(state.version)}`);
  showParts(state);
  for (const [part, fill] of Object.entries(PARTS)) {
    const { error } = state[part];
    write(element(`${part}-trouble`), error ? `Not to be had: ${error}` : "");
    element(`${part}-trouble`).hidden = !error;
    for (const node of document.querySelectorAll(`[data-part=${part}]`)) node.hidden = !!error;
    if (!error) fill(state[part], state);
  }
  past.push({ at: Date.now(), ...measure(state), waiting: waiting(state.jobs) });
  draw();
}

function showParts({ status, checks, traffic, jobs, database, redis }) {
  const parts = Object.entries(checks);
  const troubled = parts.filter(([, check]) => check.status !== "up");
  const words = troubled.map(([part, check]) => `${part} ${DOWN[check.status]}`);
  for (const [part, { error }] of Object.entries({ traffic, jobs, database, redis })) {
    if (error && checks[part === "jobs" ? "database" : part]?.status !== "down") words.push(`${part} not to be had`);
  }
  const kind = status === "unhealthy" ? "down" : words.length ? "degraded" : "up";
  summarise(kind, words.length ? `${status[0].toUpperCase()}${status.slice(1)}: ${words.join(", ")}.` : "Every part is up.");
  write(element("freshness"), `Asked at ${clock(seen)}, and every 3 s.`);
  fill("parts", parts.map(([part, { status: state, latency_ms: latency, reason }]) => [
    part, (DOWN[state] ?? state) + (reason ? `: ${reason}` : ""), latency == null ? "–" : `${latency.toFixed(1)} ms`,
  ]));
  parts.forEach(([, check], i) => {
    element("parts").rows[i].dataset.state = check.status;
    element("parts").rows[i].cells[1].className = "state";
  });
}

function summarise(kind, words) {
  element("summary").dataset.state = kind;
  write(element("summary"), words);
  document.title = `${title}: ${kind}`;
}

// A table's body: rows of texts, of which the first heads its row.
function fill(id, texts) {
  const body = element(id);
  while (body.rows.length > texts.length) body.deleteRow(-1);
  texts.forEach((cells, i) => {
    const row = body.rows[i] ?? body.insertRow();
    cells.forEach((text, j) => {
      const cell = row.cells[j] ?? row.appendChild(document.createElement(j ? "td" : "th"));
      if (!j) cell.scope = "row";
      write(cell, text);
    });
  });
}

// What of each part is shown, if it could be had.
const PARTS = {
  traffic({ in_flight: inFlight, pool, refused, uncounted, requests, failing }, { instance }) {
    const all = plural(sum(requests), "request");
    write(element("whose"), `Of the instance that answers, ${instance.host}, over the last 15 s, or since its last answer. ${all} of users since it started, which is what the sums below count from.`);
    write(element("failing"), list(failing));
    write(element("in-flight"), inFlight);
    write(element("pool"), pool.max ? `${pool.in_use} of ${pool.max} in use, ${pool.waited_s.toFixed(1)} s waited for` : "not used yet");
    write(element("refused"), list(refused));
    write(element("uncounted"), list(uncounted));
  },
  jobs({ queues, overdue, overdue_s: since, failed, shown }) {
    fill("queues", queues.map((each) => [
      each.queue, each.queued ?? 0, each.running ?? 0, each.retrying ?? 0, each.oldest_s ? duration(each.oldest_s) : "–",
    ]));
    write(element("outbox"), overdue
      ? `The outbox is behind: ${plural(overdue, "job")} overdue, the first for ${duration(since)}. Does a scheduler run?`
      : "The outbox has no backlog.");
    const more = failed > shown.length ? ` Here are the last ${shown.length}; python -m service jobs has all.` : "";
    write(element("failed"), failed ? `${plural(failed, "job")}.${more}` : "None.");
    element("failed-jobs").hidden = !failed;
    showFailed(shown);
  },
  redis({ processes, children, versions, memory, memory_max: most, waiting: ids }, { at }) {
    const now = Date.parse(at) / 1000; // by their clocks, not by this browser's
    fill("processes", processes.map((each) => [
      each.kind, short(each.version), duration(now - each.started) + (each.silent_s > 12 ? `, silent for ${duration(each.silent_s)}` : ""), `${each.host}, ${each.pid}`,
    ]));
    write(element("children"), `Processes of workers that run jobs: ${children.running}, of them busy: ${children.busy}. What has no OPS_TOKEN is not listed.`);
    fill("versions", versions.map((each) => [
      short(each.version), moment(each.first * 1000), now - each.last < 30 ? "now" : moment(each.last * 1000),
    ]));
    write(element("memory"), bytes(memory) + (most ? ` of ${bytes(most)}` : ""));
    write(element("waiting"), list(ids));
  },
  database({ connections, active, max, size }) {
    write(element("connections"), `${connections} of ${max}, ${active} active`);
    write(element("size"), bytes(size));
  },
};

function showFailed(jobs) {
  const now = new Set(jobs.map((job) => job.id));
  for (const [id, row] of rows) {
    if (now.has(id)) continue;
    if (row.contains(document.activeElement)) element("failed-title").focus();
    row.remove();
    rows.delete(id);
  }
  jobs.forEach((job, i) => {
    if (!rows.has(job.id)) rows.set(job.id, makeRow(job));
    const row = rows.get(job.id);
    if (element("shown").rows[i] !== row) element("shown").insertBefore(row, element("shown").rows[i] ?? null);
    write(row.querySelector(".error"), job.error);
    write(row.querySelector(".when"), `${moment(job.finished_at)}, after ${plural(job.attempts, "attempt")}`);
  });
}

function makeRow(job) {
  const row = element("failed-job").content.firstElementChild.cloneNode(true);
  write(row.querySelector(".function"), job.function);
  write(row.querySelector(".id"), job.id);
  const [retry, discard] = row.querySelectorAll("button");
  retry.ariaLabel = `Retry ${job.function}`;
  discard.ariaLabel = `Discard ${job.function}`;
  retry.addEventListener("click", () => change(job, "retry", "will be tried again"));
  discard.addEventListener("click", () => {
    if (Date.now() - discard.dataset.sure < DOUBLE) return;
    if (discard.dataset.sure) return change(job, "discard", "is discarded");
    const label = (text) => [discard.textContent, discard.ariaLabel] = [text, `${text} ${job.function}`];
    discard.dataset.sure = Date.now();
    label("Really discard");
    setTimeout(() => (delete discard.dataset.sure, label("Discard")), SURE);
  });
  return row;
}

async function change(job, verb, done) {
  const said = element("done");
  try {
    const response = await fetch(`/ops/jobs/${job.id}/${verb}`, { method: "POST", signal: AbortSignal.timeout(PATIENCE) });
    const answer = await response.json();
    if (!response.ok) write(said, `${job.function}: ${answer.detail}`);
    else write(said, `${job.function} ${answer.changed ? done : `was ${answer.status ?? "gone"} already`}.`);
  } catch {
    write(said, "web is not answering; nothing is known of what became of it.");
  }
  await poll();
}

// What has grown since the oldest sample of the same instance: its counters begin at its start.
function measure({ instance, traffic }) {
  if (traffic.error) return {};
  const kept = samples.get(instance.id) ?? [];
  samples.set(instance.id, kept);
  const at = performance.now();
  if (kept.length && sum(kept.at(-1).traffic.requests) > sum(traffic.requests)) kept.length = 0; // it began anew
  kept.push({ at, traffic });
  while (kept.length > 2 && kept[1].at <= at - WINDOW) kept.shift(); // of many instances each is asked seldom
  if (kept.length === 1) return {};
  const [{ at: since, traffic: before }] = kept;
  const grown = (status) => (traffic.requests[status] ?? 0) - (before.requests[status] ?? 0);
  const all = sum(traffic.requests) - sum(before.requests);
  const counts = traffic.counts.map((count, i) => count - (before.counts[i] ?? 0));
  const share = (status) => (all ? (100 * grown(status)) / all : 0);
  const [p50, p95, p99] = [0.5, 0.95, 0.99].map((q) => quantile(q, traffic.bounds, counts));
  return { requests: (1000 * all) / (at - since), p50, p95, p99, "5xx": share("5xx"), "4xx": share("4xx") };
}

// In ms, as Prometheus' histogram_quantile has it: even within a bucket.
function quantile(q, bounds, counts) {
  const rank = q * counts.at(-1);
  if (!rank) return null;
  const i = counts.findIndex((count) => count >= rank);
  if (i >= bounds.length) return 1000 * bounds.at(-1);
  const [low, below] = i ? [bounds[i - 1], counts[i - 1]] : [0, 0];
  return 1000 * (low + ((bounds[i] - low) * (rank - below)) / (counts[i] - below));
}

function waiting({ error, queues }) {
  return error ? null : queues.reduce((all, each) => all + (each.queued ?? 0) + (each.retrying ?? 0), 0);
}

function makeChart(id) {
  const [series, format, floor] = CHARTS[id];
  const axis = { stroke: () => colour("--quiet"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false } };
  const lines = Object.entries(series).map(([label, line]) => ({
    label, stroke: () => colour(`--line-${line}`), dash: DASHES[line], width: 2, points: { show: false },
  }));
  const range = () => [Math.max(past[0].at / 1000, Date.now() / 1000 - KEPT) - 1, Math.max(Date.now(), past[0].at + 60000) / 1000];
  const options = {
    width: element(id).clientWidth, height: 150, legend: { show: false }, cursor: { show: false },
    padding: [8, 4, 0, 0],
    scales: { x: { range }, y: { range: (_, __, top) => [0, Math.max(floor, top * 1.1)] } },
    axes: [
      { ...axis, size: 28, space: 80, values: (_, times, __, ___, step) => times.map((time) => clock(1000 * time, step < 60)) },
      { ...axis, size: 62, space: 30, values: (_, values) => values.map(format), ...(id === "depth" && { incrs: WHOLE }) },
    ],
    series: [{}, ...lines],
  };
  plots[id] = new uPlot(options, [[], ...lines.map(() => [])], element(id));
  const key = element(id).parentElement.querySelector(".key");
  for (const line of Object.values(series)) key.append(Object.assign(document.createElement("span"), { className: `key-${line}` }));
  new ResizeObserver(() => plots[id].setSize({ width: element(id).clientWidth, height: 150 })).observe(element(id));
}

function draw() {
  if (!past.length) return;
  while (past[0].at < Date.now() - KEPT * 1000) past.shift();
  for (const [id, [series, format]] of Object.entries(CHARTS)) {
    if (!plots[id]) makeChart(id);
    const labels = Object.keys(series);
    const columns = labels.map((label) => past.map((each) => each[label] ?? null));
    plots[id].setData([past.map((each) => each.at / 1000), ...columns]);
    const words = columns.map((values, i) => `${labels[i]} ${values.at(-1) === null ? "–" : format(values.at(-1))}`);
    const most = columns.map((values, i) => `${labels[i]} at most ${format(Math.max(0, ...values))}`);
    element(id).parentElement.querySelectorAll(".key span").forEach((key, i) => write(key, words[i]));
    element(id).ariaLabel = `Chart, now: ${words.join(", ")}; in the last minutes: ${most.join(", ")}`;
  }
  const minutes = new Map(past.map((each) => [Math.floor(each.at / 60000), each])); // the last of each
  const cell = (value, format) => (value == null ? "–" : format(value));
  fill("minutes", [...minutes.values()].reverse().map((each) => [
    clock(each.at), cell(each.requests, CHARTS.rate[1]), ...["p50", "p95", "p99"].map((key) => cell(each[key], CHARTS.latency[1])),
    cell(each["5xx"], CHARTS.errors[1]), cell(each.waiting, CHARTS.depth[1]),
  ]));
}

async function main() {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => Object.values(plots).forEach((plot) => plot.redraw(true, true)));
  for (;;) {
    await poll();
    await new Promise((resolve) => setTimeout(resolve, PERIOD));
  }
}

main();
