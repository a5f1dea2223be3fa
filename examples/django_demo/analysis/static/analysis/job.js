// Asks for the job's state until it has ended, then lets the server show the report.
"use strict";

const INTERVAL = 400;
const section = document.getElementById("progress");
const bar = document.getElementById("bar");
const step = document.getElementById("step");
const percent = document.getElementById("percent");
const noWorker = document.getElementById("no-worker");
const title = document.title;
const offline = document.getElementById("offline");

function show(state) {
  // Written only when it changes: a screen reader announces the step, not every poll.
  if (step.textContent !== state.step) step.textContent = state.step;
  if (state.percent === null) {
    bar.removeAttribute("value");
    percent.textContent = "";
    document.title = title;
  } else {
    bar.value = state.percent;
    percent.textContent = `${state.percent} %`;
    document.title = `${state.percent} % · ${title}`;
  }
  noWorker.hidden = !state.no_worker;
  offline.hidden = true;
}

async function poll() {
  try {
    const answer = await fetch(section.dataset.url, { cache: "no-store" });
    if (answer.status >= 500) throw new Error(answer.statusText);
    const state = await answer.json();
    if (!answer.ok || state.ready) {
      location.reload();
      return;
    }
    show(state);
  } catch {
    offline.hidden = false;
  }
  setTimeout(poll, INTERVAL);
}

poll();
