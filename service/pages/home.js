// The page at / in development: asks how every part is, for as long as it is open.
"use strict";

const PERIOD = 2000; // ms between two rounds of questions
const PATIENCE = 5000; // ms; /health answers within 2 s whatever is down
const KEPT = 30; // latencies of a part: a minute of them
const FLOOR = 20; // ms that the trend's height stands for at least, or noise would look like news
const SIGNING_IN = "Signing in …";
const ADVICE = {
  behind: "Bring the schema up to the code: python -m service migrate",
  diverged: "A revision was deleted? python -m service doctor says what to do.",
  down: "The log of web says why.",
};

const rows = new Map(); // a part's name → {row, latencies}
let about = null; // what /home.json said
let seen = null; // when web answered last

const element = (id) => document.getElementById(id);
const clock = (time) => time.toLocaleTimeString("en-GB");

async function ask(path) {
  const signal = AbortSignal.timeout(PATIENCE);
  return (await fetch(path, { cache: "no-store", signal })).json();
}

async function poll() {
  let health, latency;
  try {
    if (about === null) introduce(await ask("/home.json"));
    const began = performance.now();
    await ask("/health/live");
    latency = performance.now() - began;
    health = await ask("/health"); // its 503 has the same body
  } catch {
    return showSilence();
  }
  showHealth(health, latency);
}

function introduce(found) {
  about = found;
  const commit = found.commit === "unknown" ? "" : ` · commit ${found.commit}`;
  write(element("name"), found.name);
  write(element("about"), `version ${found.version}${commit} · development`);
  write(element("email"), found.demo.email);
  write(element("password"), found.demo.password);
  element("sign-in").disabled = false;
}

function showHealth({ status, checks, uptime }, latency) {
  seen = new Date();
  showPart("web", "up", latency);
  const parts = Object.entries(checks);
  for (const [name, check] of parts) showPart(name, check.status, check.latency_ms);
  const troubled = parts.filter(([, check]) => check.status !== "up");
  const list = troubled.map(([name, check]) => `${name} ${check.status}`).join(", ");
  const advice = ADVICE[troubled[0]?.[1].status] ?? "";
  const words = `${status[0].toUpperCase()}${status.slice(1)}: ${list}. ${advice}`;
  summarise(status, troubled.length ? words : "Every part is up.");
  write(element("freshness"), `Up for ${duration(uptime)} · asked at ${clock(seen)}`);
}

function showSilence() {
  showPart("web", "down", null, "does not answer");
  for (const name of rows.keys()) {
    if (name !== "web") showPart(name, "unknown", null);
  }
  summarise("unhealthy", "web does not answer" + (seen ? `, last seen at ${clock(seen)}.` : "."));
  const silent = seen ? `${duration((Date.now() - seen) / 1000)} without an answer · ` : "";
  write(element("freshness"), `${silent}asking again every 2 s`);
}

function summarise(status, words) {
  const summary = element("summary");
  summary.dataset.state = { healthy: "up", unhealthy: "down" }[status] ?? status;
  write(summary, words);
  document.title = `${about?.name ?? "development"}: ${status}`;
}

function showPart(name, state, latency, words = state) {
  const { row, latencies } = rows.get(name) ?? addPart(name);
  row.dataset.state = state;
  write(row.querySelector(".state"), words);
  write(row.querySelector(".latency"), latency == null ? "–" : `${latency.toFixed(1)} ms`);
  latencies.push(latency ?? null);
  if (latencies.length > KEPT) latencies.shift();
  row.querySelector("path").setAttribute("d", trend(latencies));
}

function addPart(name) {
  const row = element("row").content.firstElementChild.cloneNode(true);
  write(row.querySelector("th"), name);
  element("parts").append(row);
  const part = { row, latencies: [] };
  rows.set(name, part);
  return part;
}

// A line with gaps where there was no answer.
function trend(latencies) {
  const top = Math.max(FLOOR, ...latencies);
  const point = (latency, i) => `${i * 2} ${(19 - (18 * latency) / top).toFixed(1)}`;
  const pen = (i) => (latencies[i - 1] == null ? "M" : "L");
  return latencies.map((latency, i) => (latency === null ? "" : pen(i) + point(latency, i))).join("");
}

async function signIn() {
  const said = element("said");
  if (said.textContent === SIGNING_IN) return; // a double click
  write(said, SIGNING_IN);
  element("signed-in").hidden = true;
  let response, answer;
  try {
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify(about.demo);
    response = await fetch("/api/auth/login", { method: "POST", headers, body });
    answer = await response.json();
  } catch {
    return write(said, "web does not answer.");
  }
  if (!response.ok) return write(said, refusal(response, answer));
  write(said, `Signed in as ${about.demo.email}; the token is good for ${duration(answer.expires_in)}.`);
  write(element("token"), answer.access_token);
  write(element("command"), `curl -H "Authorization: Bearer ${answer.access_token}" ${location.origin}/api/users/me`);
  element("signed-in").hidden = false;
}

function refusal(response, problem) {
  if (response.status === 401) return "There is no such account. Make the demo data: python -m service seed (in Docker: docker compose exec web python -m service seed)";
  const wait = response.headers.get("Retry-After");
  return problem.detail + (wait ? ` Try again in ${duration(Number(wait))}.` : "");
}

async function copy(button) {
  const source = element(button.dataset.copies);
  try {
    await navigator.clipboard.writeText(source.textContent);
    const name = button.ariaLabel ?? button.textContent;
    write(element("copied"), `${name.replace("Copy", "Copied")}.`);
  } catch {
    // Browsers give the clipboard to localhost and HTTPS only: on a phone there is none.
    source.hidden = false;
    getSelection().selectAllChildren(source);
    write(element("copied"), "This browser refuses the clipboard; the text is selected instead.");
  }
}

async function main() {
  element("sign-in").addEventListener("click", signIn);
  for (const button of document.querySelectorAll("[data-copies]")) {
    button.addEventListener("click", () => copy(button));
  }
  for (;;) {
    await poll();
    await new Promise((resolve) => setTimeout(resolve, PERIOD));
  }
}

main();
