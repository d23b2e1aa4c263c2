// Keeps the reindex page current: asks often while something moves, seldom while nothing does, never once all is done.

const FASTEST = 1000;
const SLOWEST = 15000;

const section = document.querySelector("[data-vs-progress]");
let delay = FASTEST;
let before = "";
let absences = 0;

function text(element, value) {
  // A screen reader speaks what is set, changed or not.
  if (element && element.textContent !== value) element.textContent = value;
}

function show(report) {
  // A save of the last second looks like no worker until one has taken it: believe it the second time.
  absences = report.worker === "absent" ? absences + 1 : 0;
  const absent = section.querySelector("[data-vs-absent]");
  if (absences !== 1) {
    absent.hidden = absences === 0;
    section.querySelector("[data-vs-worker]").dataset.vsWorker = report.worker;
    text(section.querySelector("[data-vs-said]"), report.said);
  }
  for (const index of report.indexes) {
    const article = section.querySelector(`[data-vs-index="${index.id}"]`);
    const bar = article.querySelector("progress");
    bar.max = Math.max(index.listed, 1);
    bar.value = index.listed ? index.done : 1;
    for (const [name, value] of Object.entries(index.words)) {
      text(article.querySelector(`[data-vs-word="${name}"]`), value);
    }
    const badge = article.querySelector("[data-vs-state]");
    badge.className = `vs-badge vs-badge-${index.state}`;
    text(badge, index.words.state);
    article.querySelector("[data-vs-error-line]").hidden = !index.last_error;
    text(article.querySelector("[data-vs-error]"), index.last_error);
  }
}

function sameIndexes(report) {
  const shown = [...section.querySelectorAll("[data-vs-index]")].map((article) => article.dataset.vsIndex);
  return shown.join() === report.indexes.map((index) => String(index.id)).join();
}

function said(message) {
  text(section.querySelector("[data-vs-said]"), message);
}

async function ask() {
  if (document.hidden) return; // visibilitychange asks again
  let response;
  try {
    response = await fetch(section.dataset.vsProgress, { redirect: "manual", cache: "no-store" });
    if (response.status >= 500) throw new Error(`status ${response.status}`);
  } catch {
    said(section.dataset.vsLost);
    again(delay * 2);
    return;
  }
  if (!response.ok) {
    said(section.dataset.vsSignedOut);
    return;
  }
  const body = await response.text();
  const report = JSON.parse(body);
  if (!sameIndexes(report)) {
    location.reload();
    return;
  }
  show(report);
  if (report.finished) {
    section.dataset.vsFinished = "true";
    return;
  }
  const moved = body !== before;
  before = body;
  again(moved || absences === 1 ? FASTEST : delay * 1.5);
}

let timer;

function again(next) {
  delay = Math.min(next, SLOWEST);
  clearTimeout(timer);
  timer = setTimeout(ask, delay);
}

if (section && section.dataset.vsFinished === "false") {
  absences = section.querySelector("[data-vs-absent]").hidden ? 0 : 2;
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && section.dataset.vsFinished === "false") again(0);
  });
  again(FASTEST);
}
