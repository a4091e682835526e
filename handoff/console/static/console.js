// The console works without this file; here are live updates, the alarm, drafts and keys.

const $ = (id) => document.getElementById(id);
const page = document.body.dataset;

function remembered(store, key, value) {
  try {
    if (value === undefined) return store.getItem(key);
    if (value === null) store.removeItem(key);
    else store.setItem(key, value);
  } catch {
    // Storage may be forbidden; the console then simply remembers nothing.
  }
  return null;
}

// ---------------------------------------------------------------- regions that renew themselves

// What is drawn anew between pressing and letting go swallows the press: new markup waits so long.
const waiting = new Map();
let pressed = false;

function letGo() {
  pressed = false;
  setTimeout(() => {
    for (const [region, html] of waiting) swap(region, html);
    waiting.clear();
  });
}

addEventListener("pointerdown", () => { pressed = true; });
addEventListener("pointerup", letGo);
addEventListener("pointercancel", letGo);

// What the server draws and what is read back from a page differ in spelling only.
function spelled(html) {
  const bare = document.createElement("template");
  bare.innerHTML = html;
  return bare.innerHTML;
}

/** Puts new markup into a region; keeps the focus and, where one reads the end, the end in sight. */
function swap(region, html) {
  if (pressed) {
    waiting.set(region, html);
    return;
  }
  if (region.innerHTML === spelled(html)) return;
  const kept = region.contains(document.activeElement) ? document.activeElement.dataset.keep : null;
  const atEnd = region.scrollHeight - region.scrollTop - region.clientHeight < 60;
  const playing = [...region.querySelectorAll("audio")].filter((sound) => !sound.paused);
  region.innerHTML = html;
  // New words must not cut off what one is listening to: the element itself goes on in its new place.
  for (const sound of playing) region.querySelector(`audio[data-keep="${CSS.escape(sound.dataset.keep)}"]`)?.replaceWith(sound);
  if (region.id === "alarm") region.hidden = !unheard(region).length;
  if (kept) region.querySelector(`[data-keep="${CSS.escape(kept)}"]`)?.focus({ preventScroll: true });
  if (atEnd && region.id === "conversation") region.scrollTop = region.scrollHeight;
}

/** Keeps the last words in sight while the window or the alarm changes the room there is. */
function stayAtEnd(region) {
  let atEnd = true;
  const toEnd = () => { if (atEnd) region.scrollTop = region.scrollHeight; };
  region.addEventListener("scroll", () => {
    atEnd = region.scrollHeight - region.scrollTop - region.clientHeight < 60;
  });
  new ResizeObserver(toEnd).observe(region);
  toEnd();
}

async function fragment(url) {
  const answer = await fetch(url, { headers: { Accept: "text/html" } }).catch(() => null);
  if (answer?.redirected) location.assign("/console/sign-in");
  if (!answer?.ok || answer.redirected) return null;
  const html = await answer.text();
  return /<html/i.test(html) ? null : html;
}

async function renewRegion(region, url) {
  const html = await fragment(url);
  if (html !== null && region) swap(region, html);
  return html;
}

/** On every page: the emergencies nobody has heard yet, and how many cases are open. */
async function renewQueue() {
  if (page.page === "queue") renewRegion($("queue"), `/console/queue?filter=${page.filter}&fragment=1`);
  const html = await renewRegion($("alarm"), "/console/queue?fragment=alarm");
  if (html !== null) heed(new DOMParser().parseFromString(html, "text/html"));
}

function renewCase() {
  const base = `/console/cases/${encodeURIComponent(page.case)}?fragment=`;
  renewRegion($("conversation"), `${base}conversation`);
  renewRegion($("events"), `${base}events`);
  renewRegion($("case-head"), `${base}head`);
}

/** Whether words have reached the person is nobody's news: it is looked up while some are on their way. */
function watchDelivery() {
  setInterval(() => {
    if ($("conversation").querySelector("[data-under-way]") && !document.hidden) renewCase();
  }, 2000);
}

let renewing = 0;
const changedCases = new Set();

function renewSoon(id) {
  if (id) changedCases.add(String(id));
  clearTimeout(renewing);
  renewing = setTimeout(() => {
    if (page.page === "case" && (changedCases.has(page.case) || changedCases.has("*"))) renewCase();
    changedCases.clear();
    renewQueue();
  }, 120);
}

// ---------------------------------------------------------------- the line to the service

const LIVE = { on: "实时", off: "断开，正在重连", wait: "正在连接" };

function live(state) {
  $("live").dataset.live = state;
  $("live").textContent = LIVE[state];
}

function follow() {
  const events = new EventSource("/console/events");
  events.onopen = () => {
    // What happened while the line was down was told to nobody.
    renewSoon("*");
    live("on");
  };
  events.onerror = () => {
    live("off");
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 5000);
  };
  events.addEventListener("changed", (event) => {
    const change = JSON.parse(event.data);
    renewSoon(change.case);
    if (change.new && change.risk === "emergency") announce(change);
  });
  addEventListener("pagehide", () => events.close());
}

function announce(change) {
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  new Notification("紧急个案", { body: `${change.number}，请马上看`, tag: String(change.case) });
}

// ---------------------------------------------------------------- the alarm

const RING_MS = 4000;
let sound = null;
let ringing = 0;
let blinking = 0;
const ownTitle = document.title;
const muted = () => remembered(localStorage, "console-muted") === "1";

const unheard = (markup) => [...markup.querySelectorAll("[data-case]")].map((one) => one.dataset);

/** Rings and blinks while there is an emergency that nobody has heard; at once, though its drawing may have to wait. */
function heed(markup) {
  const { count } = markup.querySelector("[data-count]").dataset;
  $("queue-count").textContent = count;
  $("queue-count").hidden = count === "0";
  clearInterval(ringing);
  clearInterval(blinking);
  document.title = ownTitle;
  const [first] = unheard(markup);
  if (!first) return;
  ring();
  ringing = setInterval(ring, RING_MS);
  blinkTitle(first);
}

function blinkTitle(first) {
  const alarmed = `【紧急】${first.number} ${first.village}`;
  document.title = alarmed;
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  blinking = setInterval(() => {
    document.title = document.title === ownTitle ? alarmed : ownTitle;
  }, 1000);
}

function ring() {
  if (muted()) return;
  sound ??= new AudioContext();
  sound.resume().catch(() => {});
  if (sound.state !== "running") return showSound();
  [0, 0.25, 0.5].forEach((delay, index) => beep(index % 2 ? 660 : 880, delay));
}

function beep(pitch, delay) {
  const start = sound.currentTime + delay;
  const tone = sound.createOscillator();
  const gain = sound.createGain();
  tone.frequency.value = pitch;
  gain.gain.setValueAtTime(0, start);
  gain.gain.linearRampToValueAtTime(0.25, start + 0.02);
  gain.gain.linearRampToValueAtTime(0, start + 0.2);
  tone.connect(gain).connect(sound.destination);
  tone.start(start);
  tone.stop(start + 0.22);
}

function showSound() {
  const blocked = !muted() && sound !== null && sound.state !== "running";
  $("sound").textContent = blocked ? "点一下，打开铃声" : muted() ? "铃声关" : "铃声开";
  $("sound").setAttribute("aria-pressed", String(!muted()));
}

function toggleSound() {
  const blocked = !muted() && sound?.state === "suspended";
  if (!blocked) remembered(localStorage, "console-muted", muted() ? null : "1");
  sound ??= new AudioContext();
  sound.resume().then(showSound, showSound);
  if (!muted() && "Notification" in window && Notification.permission === "default") Notification.requestPermission();
  showSound();
}

// ---------------------------------------------------------------- what is typed and not yet sent

const typedFields = "textarea, input[type=text]";
const draftKey = (form, field) => `draft:${form.dataset.draft}:${field.name}`;

/** Restores unsent words; those of a form that was refused come back with the error. */
function keepDrafts() {
  const refused = document.querySelector("[data-error]");
  const back = performance.getEntriesByType("navigation")[0]?.type === "back_forward";
  for (const form of document.querySelectorAll("form[data-draft]")) {
    for (const field of form.querySelectorAll(typedFields)) {
      restoreDraft(form, field, refused || back);
    }
    form.addEventListener("submit", () => setAside(form));
  }
}

function restoreDraft(form, field, withSent) {
  const key = draftKey(form, field);
  const words = remembered(sessionStorage, key) || (withSent && remembered(sessionStorage, `sent:${key}`));
  remembered(sessionStorage, `sent:${key}`, null);
  if (words && !field.value) {
    field.value = words;
    form.closest("details")?.setAttribute("open", "");
  }
  field.addEventListener("input", () => remembered(sessionStorage, key, field.value || null));
}

function setAside(form) {
  for (const field of form.querySelectorAll(typedFields)) {
    remembered(sessionStorage, draftKey(form, field), null);
    remembered(sessionStorage, `sent:${draftKey(form, field)}`, field.value);
  }
}

function onceOnly(event) {
  // Disabled a moment later: a button disabled at once would not be part of what is sent.
  const buttons = event.target.querySelectorAll("button[type=submit]");
  if (event.target.method === "dialog") return;
  setTimeout(() => buttons.forEach((button) => { button.disabled = true; }));
  setTimeout(() => buttons.forEach((button) => { button.disabled = false; }), 6000);
}

function riskReason() {
  const risk = $("risk");
  if (!risk) return;
  const order = ["routine", "attention", "urgent", "emergency"];
  const check = () => {
    $("risk-reason").required = order.indexOf(risk.value) < order.indexOf(risk.dataset.now);
  };
  risk.addEventListener("change", check);
}

// ---------------------------------------------------------------- keys

function links() {
  return [...document.querySelectorAll(".case-link")];
}

function move(step) {
  const all = links();
  if (!all.length) return;
  const at = all.findIndex((link) => link.closest("li").contains(document.activeElement));
  all[Math.max(0, Math.min(all.length - 1, at + step))].focus();
}

function claim() {
  const row = document.activeElement.closest?.(".case-row") || $("case-head");
  row?.querySelector('form[action$="/claim"] button')?.click();
}

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  c: claim,
  r: () => $("reply")?.focus(),
  q: () => location.assign("/console/queue?filter=queue"),
  "?": () => $("help").showModal(),
};

function key(event) {
  const writing = event.target.closest("input, textarea, select");
  if (writing && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    writing.form?.requestSubmit();
    return;
  }
  if (writing || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || $("help").open) return;
  if (!KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
}

// ---------------------------------------------------------------- beginning

function begin() {
  document.addEventListener("submit", onceOnly);
  if (!$("live")) {
    sessionStorage.clear();
    return;
  }
  for (const id of ["live", "sound", "help-open"]) $(id).hidden = false;
  $("sound").addEventListener("click", toggleSound);
  $("help-open").addEventListener("click", KEYS["?"]);
  $("print")?.addEventListener("click", () => print());
  $("sign-out").addEventListener("submit", () => sessionStorage.clear());
  document.addEventListener("keydown", key);
  addEventListener("pointerdown", () => { sound?.resume().then(showSound); });
  keepDrafts();
  riskReason();
  showSound();
  if ($("conversation")) {
    stayAtEnd($("conversation"));
    watchDelivery();
  }
  heed($("alarm"));
  follow();
}

begin();
