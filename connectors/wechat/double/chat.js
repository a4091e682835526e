"use strict";
// One plays a villager. The state is asked for every second: this page is for trying out, on one's own machine.

const $ = (id) => document.getElementById(id);
const KINDS = { voice: "语音", image: "图片", video: "视频", shortvideo: "视频", location: "位置", link: "链接", file: "文件" };
const EVENTS = { subscribe: "关注了公众号", unsubscribe: "取消了关注", SCAN: "扫了站点的码", CLICK: "点了菜单", VIEW: "打开了页面" };
let openid = localStorage.getItem("openid") || "o-wangxiuying";
let drawn = { openid: "", lines: 0, menu: "", names: "", cards: [] };
let recorder = null;

async function post(path, body) {
  try {
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    if (!answer.ok) say("没办成：" + (await answer.text()));
  } catch {
    say("演练平台停了。");
  }
}
const does = (what, more) => post("/_double/does", { openid, what, ...more }).then(look);
const say = (text) => { $("note").textContent = text; };

function element(name, text, more = {}) {
  return Object.assign(document.createElement(name), { textContent: text }, more);
}

function become(name) {
  openid = name;
  localStorage.setItem("openid", name);
  // The page that web authorisation opens asks who is looking.
  document.cookie = `openid=${encodeURIComponent(name)}; path=/; max-age=86400; SameSite=Lax`;
  look();
}

// -- the villager's chat

function line(one) {
  const item = element("li", "", { className: one.kind === "fault" ? "fault" : one.who });
  const media = `/_double/media?openid=${encodeURIComponent(openid)}&of=${one.who === "mine" ? "said" : "reached"}&n=${one.n}`;
  if (one.who === "note") item.textContent = noted(one);
  else if (one.kind === "voice") item.append(element("audio", "", { controls: true, preload: "none", src: media }));
  else if (one.kind === "image") item.append(element("img", "", { src: media, alt: "图片" }));
  else item.textContent = one.text || `〔${KINDS[one.kind] || one.kind}〕`;
  if (one.link) item.append(" ", element("a", "打开", { href: one.link, target: "_blank", rel: "noopener" }));
  return item;
}

function noted(one) {
  const key = one.kind === "CLICK" ? nameOf(one.text) : one.kind === "VIEW" ? "" : one.text.replace("qrscene_", "");
  return (EVENTS[one.kind] || one.kind) + (key ? `：${key}` : "");
}

const entries = () => JSON.parse(drawn.menu || "[]").flatMap((one) => [one, ...(one.sub_button || [])]);
const nameOf = (key) => (entries().find((one) => one.key === key) || { name: key }).name;

function drawTalk(lines) {
  if (drawn.openid !== openid) {
    drawn.openid = openid;
    drawn.lines = 0;
    $("talk").replaceChildren();
  }
  // Only what is new: a screen reader would read everything again, a sound that plays would stop.
  for (const one of lines.slice(drawn.lines)) $("talk").append(line(one));
  if (lines.length > drawn.lines) $("talk").scrollTop = $("talk").scrollHeight;
  drawn.lines = lines.length;
}

function drawWho(state, me) {
  const names = [...new Set([openid, ...state.villagers.map((one) => one.openid)])];
  if (drawn.names !== names.join() + openid) {
    drawn.names = names.join() + openid;
    $("who").replaceChildren(...names.map((name) => new Option(name, name, name === openid, name === openid)));
  }
  $("follow").textContent = me.follows ? "取消关注" : "关注";
}

// -- the menu as it is published

function drawMenu(buttons) {
  const now = JSON.stringify(buttons);
  if (drawn.menu === now) return;
  drawn.menu = now;
  $("below").hidden = true;
  $("menu").replaceChildren(...buttons.map(entry));
}

function entry(one) {
  const below = one.sub_button || [];
  const button = element("button", (below.length ? "☰ " : "") + one.name, { type: "button" });
  if (below.length) button.setAttribute("aria-expanded", "false");
  button.onclick = () => (below.length ? unfold(button, below) : choose(one));
  return button;
}

function unfold(button, below) {
  const open = button.getAttribute("aria-expanded") === "true";
  fold();
  if (open) return;
  button.setAttribute("aria-expanded", "true");
  $("below").replaceChildren(...below.map(entry));
  $("below").hidden = false;
  $("talk").scrollTop = $("talk").scrollHeight;
  $("below").firstElementChild.focus();
}

function fold() {
  $("below").hidden = true;
  for (const one of $("menu").children) if (one.hasAttribute("aria-expanded")) one.setAttribute("aria-expanded", "false");
}

function choose(one) {
  fold();
  if (!one.url) return does("taps", { key: one.key });
  window.open(one.url, "_blank", "noopener");
  return does("opens", { url: one.url });
}

// -- the workers' WeCom

function drawCards(cards) {
  $("none").hidden = cards.length > 0;
  cards.forEach((card, at) => {
    const now = JSON.stringify(card);
    if (drawn.cards[at] === now) return;
    drawn.cards[at] = now;
    const item = cardItem(card);
    if ($("cards").children[at]) $("cards").children[at].replaceWith(item);
    else $("cards").append(item);
  });
}

function cardItem(card) {
  const item = element("li", "");
  const line = element("div", "", { className: "does" });
  item.append(element("b", `给 ${card.worker}`), card.words);
  if (card.link) line.append(element("a", "打开", { href: card.link, target: "_blank", rel: "noopener" }));
  if (card.changed_to) line.append(element("span", `✓ ${card.changed_to}`, { className: "changed" }));
  else if (card.task) line.append(seen(card));
  if (line.children.length) item.append(line);
  return item;
}

function seen(card) {
  const button = element("button", "我看到了", { type: "button" });
  button.onclick = async () => {
    button.disabled = true;
    await post("/_double/tap", { n: card.n });
    button.disabled = false;
    look();
  };
  return button;
}

async function look() {
  try {
    const state = await (await fetch("/_double/state")).json();
    const me = state.villagers.find((one) => one.openid === openid) || { follows: false, chat: [] };
    drawWho(state, me);
    drawMenu(state.menu);
    drawTalk(me.chat);
    drawCards(state.cards);
    if ($("note").textContent === "演练平台停了。") location.reload();
  } catch {
    say("演练平台停了。");
  }
}

// -- speaking

async function speak() {
  if (recorder) return recorder.stop();
  let microphone;
  try {
    microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch {
    return say("浏览器没有给话筒。请在地址栏旁边允许，或者打字。");
  }
  const parts = [];
  recorder = new MediaRecorder(microphone);
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.onstop = () => send(new Blob(parts), microphone);
  recorder.start();
  $("speak").setAttribute("aria-pressed", "true");
  $("speak").textContent = "说完了";
  return say("正在听……说完了再按一下。");
}

function send(sound, microphone) {
  recorder = null;
  $("speak").setAttribute("aria-pressed", "false");
  $("speak").textContent = "说话";
  say("");
  microphone.getTracks().forEach((track) => track.stop());
  const reader = new FileReader();
  reader.onload = () => does("speaks", { sound: reader.result.split(",")[1] });
  reader.readAsDataURL(sound);
}

function ask(question, first, then) {
  $("ask-say").textContent = question;
  $("ask-text").value = first;
  $("ask").returnValue = "";
  $("ask").onclose = () => { if ($("ask").returnValue === "yes") then($("ask-text").value); };
  $("ask").showModal();
  $("ask-text").select();
}

function scanned(scene) {
  // Who does not follow yet follows by the code.
  return does($("follow").textContent === "关注" ? "follows" : "scans", { scene });
}

$("write").onsubmit = (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (text) does("says", { text });
  $("text").value = "";
};
$("speak").onclick = speak;
$("who").onchange = () => become($("who").value);
$("new").onclick = () => ask("给这个人起个代号：", "o-" + Math.random().toString(36).slice(2, 8), (name) => {
  become(name);
  does("follows", {});
});
$("scan").onclick = () => ask("扫哪个站点的码？", "", scanned);
$("follow").onclick = () => does($("follow").textContent === "关注" ? "follows" : "unfollows", {});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") fold(); });
become(openid);
setInterval(look, 1000);
