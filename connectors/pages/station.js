// The station page: one visit of one person at a time. What is shown follows from what goes on
// (recording, speaking, turns under way), computed in one place: `refresh`.

const $ = (id) => document.getElementById(id);
const body = document.body;

const RATE = 16000;
const FRAME_SECONDS = 0.1;
const HOLD_MS = 450;
// Old hands tremble: a second touch this soon after the first is the same touch.
const TREMOR_MS = 600;
const SIGN_AT_S = 90;
const CAP_AT_S = 110;
// Only when a finger does not say when: long pauses inside a turn are normal in old age.
const SILENCE_AFTER_SPEECH_S = 12;
const SILENCE_WITHOUT_SPEECH_S = 25;
const QUICK_TRIES = 10;
const REQUEST_MS = 30000;
const GREETING_VOICE_MS = 4000;
// Of a voice that is later than this the screen says that it is missing; the words stand there already.
const VOICE_MS = 20000;
const SCAN_GAP_MS = 500;
const CARD = /(?:^|\D)(\d{8})$/;
const SIZES = [24, 28, 32, 36, 42, 48];

const PHRASES = Object.fromEntries(
  [...$("phrases").children].map((item) => [item.dataset.key, item.textContent]),
);

const LABELS = {
  idle: ["按住说话", "或点一下说话", "慢慢说，不着急"],
  opening: ["请稍等", "", "正在打开话筒…"],
  listening: ["我在听", "", "我在听，说完再点一下"],
  holding: ["我在听", "", "我在听，说完松手"],
  thinking: ["我在想…", "", "我在想…"],
  speaking: ["换您说", "", "我在说。想插话就点一下"],
};

/** In WeChat the page belongs to one person: it goes on with their conversation, and is theirs to keep open. */
const PERSONAL = body.dataset.mode === "personal";

const now = () => performance.now() / 1000;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const show = (element, on) => { element.hidden = !on; };

function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The service could not be reached or failed in a way that passes: worth another try. */
class Unreachable extends Error {
  constructor(say = "") {
    super();
    this.say = say; // the service's own word for it, such as that its disk is full
  }
}

/** The service hears us but can't keep what is said: tried again, and told as it is. */
const UNKEPT = ["disk_full", "read_only", "busy", "store_down"];

/** The service answered that it will not do this; `say` is a sentence for the person. */
class Refused extends Error {
  constructor(code, say, status = 0) {
    super(code);
    Object.assign(this, { code, say: say || PHRASES.fault, status });
  }
}

/** The microphone cannot be used; `key` names the phrase that says what to do. */
class MicTrouble extends Error {
  constructor(key) {
    super(key);
    this.key = key;
  }
}

// ---------------------------------------------------------------- sound

let context = null;

function audio() {
  const Context = window.AudioContext || window.webkitAudioContext;
  if (!context && Context) context = new Context();
  if (context && context.state !== "running") context.resume().catch(() => {});
  return context;
}

async function audible() {
  const sound = audio();
  if (!sound) return false;
  if (sound.state !== "running") await Promise.race([sound.resume().catch(() => {}), pause(400)]);
  return sound.state === "running";
}

function tone(from, to, seconds, loudness, delay = 0) {
  const sound = audio();
  if (!sound || sound.state !== "running") return;
  const start = sound.currentTime + delay;
  const source = sound.createOscillator();
  const gain = sound.createGain();
  source.frequency.setValueAtTime(from, start);
  source.frequency.linearRampToValueAtTime(to, start + seconds);
  gain.gain.setValueAtTime(0, start);
  gain.gain.linearRampToValueAtTime(loudness, start + 0.02);
  gain.gain.linearRampToValueAtTime(0, start + seconds);
  source.connect(gain).connect(sound.destination);
  source.start(start);
  source.stop(start + seconds + 0.02);
}

const sounds = {
  listen: () => tone(440, 880, 0.18, 0.2),
  stop: () => tone(660, 440, 0.14, 0.15),
  tick: () => tone(520, 480, 0.05, 0.06),
  sign: () => { tone(600, 600, 0.12, 0.15); tone(600, 600, 0.12, 0.15, 0.22); },
  trouble: () => { tone(392, 370, 0.25, 0.2); tone(311, 294, 0.35, 0.2, 0.3); },
  arrival: () => { tone(523, 523, 0.15, 0.15); tone(784, 784, 0.3, 0.15, 0.17); },
};

let ticking = 0;

function tickWhile(on) {
  if (on && !ticking) ticking = setInterval(sounds.tick, 1500);
  if (!on && ticking) {
    clearInterval(ticking);
    ticking = 0;
  }
}

// ---------------------------------------------------------------- saying things aloud

let playing = null;
let speakingRun = 0;
let speaking = false;

function play(buffer, volume) {
  return new Promise((resolve) => {
    const source = context.createBufferSource();
    const gain = context.createGain();
    source.buffer = buffer;
    gain.gain.value = volume;
    source.connect(gain).connect(context.destination);
    source.onended = resolve;
    source.start();
    playing = source;
  });
}

async function fetchSound(url) {
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const answer = await fetch(url);
      if (answer.ok) return await audio().decodeAudioData(await answer.arrayBuffer());
      if (answer.status < 500) return null;
    } catch {
      // A broken network and a broken file end alike: another try, then the text alone.
    }
    await pause(700);
  }
  return null;
}

function clip(reply, index) {
  reply.clips ??= [];
  const url = (reply.speech || [])[index];
  if (url) reply.clips[index] ??= fetchSound(url).then((buffer) => keepOrForget(reply, index, buffer));
  return reply.clips[index] || null;
}

function keepOrForget(reply, index, buffer) {
  if (!buffer) delete reply.clips[index];
  return buffer;
}

/** Says a reply sentence by sentence, the next one loading while one plays; ends early on a barge-in. */
async function speak(reply, patience = VOICE_MS) {
  hush();
  const run = ++speakingRun;
  speaking = true;
  refresh();
  const spoken = await speakSentences(reply, run, patience);
  if (run !== speakingRun) return false;
  if (!spoken && patience === VOICE_MS && reply.speech?.length) aside(PHRASES.mute);
  highlight(reply, -1);
  reply.spoken = true;
  if (reply.number && reply === visit?.last) bringIntoView($("number-box"));
  speaking = false;
  refresh();
  return true;
}

async function speakSentences(reply, run, patience) {
  if (!(await audible())) return false;
  let all = true;
  for (let index = 0; index < (reply.speech || []).length; index++) {
    const loading = clip(reply, index);
    clip(reply, index + 1);
    let buffer = await Promise.race([loading, pause(patience).then(() => "late")]);
    if (run !== speakingRun) return true;
    if (buffer === "late" && patience !== VOICE_MS) return false;
    if (buffer === "late") {
      // Who can't read has only the voice: the screen says that it is missing, and it still comes when it can.
      aside(PHRASES.mute);
      buffer = await loading;
      if (run !== speakingRun) return true;
    }
    all &&= Boolean(buffer);
    if (!buffer) continue;
    highlight(reply, index);
    await play(buffer, reply.volume ?? 1);
    if (run !== speakingRun) return true;
  }
  return all;
}

function hush() {
  try {
    playing?.stop();
  } catch {
    // Stopping a sound that has ended is no fault.
  }
  playing = null;
  window.speechSynthesis?.cancel();
}

function stopSpeaking() {
  speakingRun++;
  speaking = false;
  hush();
  if (visit?.last) highlight(visit.last, -1);
}

const phraseClips = {};

async function loadPhrases() {
  for (const key of Object.keys(PHRASES)) {
    // The voice speaks for one at a time: who is here now goes before what may be needed some day.
    while (visit || currentState() !== "idle") await pause(500);
    const answer = await fetch(`/station/speech/page/${key}.wav`).catch(() => null);
    // The network phrase must be here before the network goes; one refusal means there are none.
    if (!answer?.ok) return;
    phraseClips[key] = await answer.arrayBuffer();
  }
}

function systemVoice(text) {
  const voice = window.speechSynthesis?.getVoices().find((one) => one.localService && /^(zh|cmn)/i.test(one.lang));
  if (!voice) return false;
  const words = new SpeechSynthesisUtterance(text);
  Object.assign(words, { voice, lang: voice.lang, rate: 0.85 });
  window.speechSynthesis.speak(words);
  return true;
}

/** Says a sentence of the page's own, unless somebody is speaking; a sound alone where no voice is to be had. */
async function sayAloud(text, key = null) {
  if (recording || speaking || !(await audible())) return;
  if (key && phraseClips[key]) {
    const buffer = await context.decodeAudioData(phraseClips[key].slice(0)).catch(() => null);
    if (buffer && !recording && !speaking) {
      await play(buffer, 1);
      return;
    }
  }
  if (!systemVoice(text)) sounds.trouble();
}

// ---------------------------------------------------------------- what is shown

let opening = null;
let recording = null;
let visit = null;
let shownState = "idle";
let networkLost = false;

function currentState() {
  if (opening) return "opening";
  if (recording) return "listening";
  if (speaking) return "speaking";
  return underWay() ? "thinking" : "idle";
}

function refresh() {
  const state = currentState();
  const [label, sub, line] = LABELS[recording?.holding ? "holding" : state];
  body.dataset.state = state;
  put("talk-label", state === "thinking" && networkLost ? "等网络…" : label);
  put("talk-sub", sub);
  put("state", stateLine(state, line));
  for (const id of ["again", "slower"]) $(id).disabled = state === "listening" || state === "opening";
  tickWhile(state === "thinking");
  if (state !== shownState) {
    shownState = state;
    watchQuiet();
  }
  if (!opening && !recording && !speaking) showNext();
}

function stateLine(state, line) {
  if (recording?.ending) return "快到时间了，再说一两句就好";
  if (state === "idle" && body.dataset.mic) return "话筒没开，可以打字或找人";
  if (state === "thinking" && networkLost) return "网络断了，我还在试";
  return line;
}

function put(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

function notice(text, key = null, aloud = true) {
  put("notice", text);
  $("notice").dataset.key = key || "";
  show($("notice"), Boolean(text));
  if (text && aloud) sayAloud(text, key);
}

function noticeFor(key) {
  notice(PHRASES[key], key);
}

function clearNotice(...keys) {
  if (!keys.length || keys.includes($("notice").dataset.key)) notice("");
}

function aside(text) {
  put("small", text);
  show($("small"), Boolean(text));
}

function showHeard(text, final, turn = null) {
  show($("welcome"), false);
  show($("heard-box"), Boolean(text));
  $("heard-box").dataset.final = String(final);
  $("heard").setAttribute("aria-busy", String(!final));
  put("heard", text);
  aside("");
  if (!final || turn?.answered) return;
  // Once for a turn: a repeat must not take away an answer that came meanwhile.
  if (turn) turn.answered = true;
  if (visit?.passed) {
    visit.passed = false;
    showHeld();
  }
  $("answers").replaceChildren(...unheardOfWorkers());
  $("words").scrollTop = 0;
}

/** A worker's answer that was cut short stays to be read, whatever the person says next. */
function unheardOfWorkers() {
  const cut = [...(visit?.known.values() || [])].filter((reply) => reply.from === "worker" && reply.shown && !reply.spoken);
  return cut.map((reply) => reply.box).filter(Boolean);
}

function showReply(reply) {
  show($("welcome"), false);
  const box = document.createElement("article");
  box.className = `answer from-${reply.from === "worker" ? "worker" : "assistant"}`;
  const name = document.createElement("h2");
  name.textContent = reply.from === "worker" ? reply.held_by || "社工" : "乡音说";
  const words = document.createElement("p");
  const sentences = reply.sentences?.length ? reply.sentences : [reply.text];
  reply.spans = sentences.map((sentence) => {
    const span = document.createElement("span");
    span.textContent = sentence;
    return span;
  });
  words.append(...reply.spans);
  box.append(name, words);
  reply.box = box;
  $("answers").append(box);
  bringIntoView(box);
}

function bringIntoView(element) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
}

function highlight(reply, index) {
  (reply.spans || []).forEach((span, at) => span.classList.toggle("now", at === index));
  if (index >= 0 && reply.spans?.[index]) bringIntoView(reply.spans[index]);
}

/** Tells who of the workers has the conversation; `name` is null when the assistant has it again. */
function showHolder(one, name) {
  if (one !== visit) return;
  const changed = visit.held !== (name || null);
  visit.held = name || null;
  showHeld();
  if (changed) watchQuiet();
}

function showHeld() {
  put("held", visit.held ? `${visit.held}正在跟您说话${visit.passed ? "，您的话已经送到，请等一等" : ""}` : "");
  show($("held"), Boolean(visit.held));
}

/** The worker has the words now and the assistant keeps silent; a person must see and hear that they arrived. */
function showPassed() {
  visit.passed = true;
  showHeld();
  if (!visit.held) aside(PHRASES.passed);
  sayAloud(PHRASES.passed, "passed");
}

function showSurroundings(reply) {
  showHolder(visit, reply.held_by);
  if (reply.number) {
    put("number", reply.number);
    put("number-spoken", reply.number_spoken || "");
    show($("number-box"), true);
  }
  if (reply.call) {
    visit.call = reply.call;
    $("call-link").href = `tel:${reply.call}`;
    put("call-link", `打 ${reply.call}`);
    show($("call"), true);
  }
}

// ---------------------------------------------------------------- talking with the service

async function request(url, payload) {
  const control = new AbortController();
  const timer = setTimeout(() => control.abort(), REQUEST_MS);
  try {
    const answer = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(payload),
      signal: control.signal,
    });
    const data = await answer.json().catch(() => null);
    if (answer.ok && data) return data;
    if (answer.ok || answer.status >= 500 || answer.status === 429) throw new Unreachable(UNKEPT.includes(data?.error) ? data.say : "");
    throw new Refused(data?.error || "refused", data?.say, answer.status);
  } catch (error) {
    throw error instanceof Refused || error instanceof Unreachable ? error : new Unreachable();
  } finally {
    clearTimeout(timer);
  }
}

/** Tries until it is answered: 1, 2, 4, 8, 8… seconds, after ten tries every half minute. */
async function persist(attempt, onFailure = () => {}) {
  for (let failed = 0; ; failed++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      onFailure(failed + 1, error);
      await waitOrOnline(failed < QUICK_TRIES ? Math.min(8, 2 ** failed) * 1000 : 30000);
    }
  }
}

function waitOrOnline(ms) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done);
  });
}

function openVisit() {
  visit ??= {
    token: null, opening: null, greeting: null, speaker: $("speaker").value,
    inbox: [], known: new Map(), last: null, held: null, passed: false, call: null, events: null, turns: 0,
  };
  return visit;
}

/** The conversation's token; asks for one on the first call, and again after the service forgot it. */
async function tokenOf(one) {
  if (one.token) return one.token;
  const station = new URLSearchParams(location.search).get("station");
  const asking = () => PERSONAL ? request("/wechat/page/conversation", {}) : request("/station/api/conversations", { speaker: one.speaker, station });
  one.opening ??= asking().then(
    (data) => begun(one, data),
    (error) => {
      one.opening = null;
      throw error;
    },
  );
  return one.opening;
}

function begun(one, data) {
  one.opening = null;
  one.token = data.conversation;
  one.greeting = data.reply;
  showMatter(data.matter);
  if (data.reply) one.known.set(data.reply.id, Object.assign(data.reply, { shown: true }));
  if (one === visit) followEvents(one);
  return one.token;
}

/** How the last matter stands; known only where the page belongs to one person. */
function showMatter(words) {
  put("matter", words || "");
  show($("matter"), Boolean(words));
}

function followEvents(one) {
  one.events?.close();
  const events = new EventSource(`/station/events?conversation=${encodeURIComponent(one.token)}`);
  one.events = events;
  events.addEventListener("reply", (event) => receive(one, JSON.parse(event.data), true));
  events.addEventListener("state", (event) => showHolder(one, JSON.parse(event.data).held_by));
  events.onopen = () => networkBack();
  events.onerror = () => {
    const current = () => one === visit && one.events === events;
    setTimeout(() => current() && events.readyState !== EventSource.OPEN && networkGone(0), 4000);
    // A refusal closes the stream for good; a broken line is taken up again by the browser itself.
    if (events.readyState !== EventSource.CLOSED) return;
    setTimeout(() => current() && followEvents(one), 5000);
  };
}

function receive(one, reply, byEvent = false) {
  if (!reply || one !== visit) return;
  const known = one.known.get(reply.id);
  if (known) {
    known.byEvent ||= byEvent;
    if (byEvent && known.shown) acknowledge(one, reply.id);
    return;
  }
  reply.byEvent = byEvent;
  one.known.set(reply.id, reply);
  one.inbox.push(reply);
  if (byEvent) reveal(one, reply);
  if (recording && byEvent) aside("有人回您话了，等您说完就念给您听。");
  refresh();
}

/** What comes by itself can be read at once; to be said aloud it waits its turn. */
function reveal(one, reply) {
  showSurroundings(reply);
  if (reply.text) showReply(reply);
  reply.shown = true;
  acknowledge(one, reply.id);
}

function acknowledge(one, id) {
  persist(() => request("/station/api/seen", { conversation: one.token, replies: [id] })).catch(() => {});
}

function showNext() {
  const reply = visit?.inbox.shift();
  if (!reply) return;
  present(visit, reply);
}

function present(one, reply) {
  showSurroundings(reply);
  aside("");
  if (reply.byEvent && one.last) sounds.arrival();
  if (reply.from === "worker") one.passed = false;
  if (reply.text || reply.sentences?.length) {
    one.last = reply;
    if (!reply.box?.isConnected) showReply(reply);
  } else {
    showPassed();
  }
  reply.shown = true;
  watchQuiet();
  speak(reply);
}

// ---------------------------------------------------------------- turns, one after the other

const outbox = [];
let pumping = false;
let givenUp = false;

function underWay() {
  return !givenUp && outbox.some((turn) => turn.visit === visit);
}

async function enqueue(turn) {
  turn.visit.turns++;
  outbox.push(turn);
  refresh();
  if (pumping) return;
  pumping = true;
  while (outbox.length) await finishTurn(outbox[0]);
  pumping = false;
  refresh();
}

async function finishTurn(turn) {
  try {
    const { reply, held_by: holder } = await persist(() => turn.attempt(turn), networkGone);
    networkBack();
    outbox.shift();
    receive(turn.visit, reply);
    if (holder !== undefined) showHolder(turn.visit, holder);
    if (!reply && !turn.cancelled && turn.visit === visit) showPassed();
  } catch (error) {
    outbox.shift();
    turnRefused(turn, error);
  }
  refresh();
}

function turnRefused(turn, error) {
  networkBack();
  if (recording?.turn === turn) stopListening();
  if (turn.visit !== visit) return;
  notice(error.say || PHRASES.fault, error.say ? null : "fault");
}

function networkGone(failed, error) {
  const last = failed >= QUICK_TRIES;
  if (!networkLost || (last && !givenUp)) {
    networkLost = true;
    givenUp = last;
    if (error?.say) notice(error.say, null);
    else noticeFor(last ? "stuck" : "offline");
  }
  body.dataset.net = "lost";
  refresh();
}

function networkBack() {
  networkLost = false;
  givenUp = false;
  delete body.dataset.net;
  clearNotice("offline", "stuck");
}

function textTurn(text) {
  return { id: newId(), visit: openVisit(), text, attempt: sendText };
}

async function sendText(turn) {
  const one = turn.visit;
  try {
    const conversation = await tokenOf(one);
    const data = await request("/station/api/turns", { conversation, message_id: turn.id, text: turn.text });
    if (one === visit) showHeard(data.heard ?? turn.text, true, turn);
    return data;
  } catch (error) {
    if (!forgotten(error) || turn.renewed) throw error;
    turn.renewed = true;
    one.token = null;
    return sendText(turn);
  }
}

function forgotten(error) {
  return error instanceof Refused && (error.status === 404 || error.status === 410);
}

function sendTyped(text) {
  clearNotice();
  stopSpeaking();
  const turn = textTurn(text);
  showHeard(text, true, turn);
  enqueue(turn);
}

function voiceTurn() {
  return {
    id: newId(), visit: openVisit(), frames: [], ended: false, cancelled: false,
    push: () => {}, attempt: sendVoice,
  };
}

/** Streams what has been recorded so far and what follows; every attempt starts with the first frame. */
async function sendVoice(turn) {
  if (turn.cancelled) return {};
  const token = await tokenOf(turn.visit);
  const place = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}`;
  const socket = new WebSocket(`${place}/station/voice?conversation=${encodeURIComponent(token)}`);
  return new Promise((resolve, reject) => carry(turn, socket, resolve, reject));
}

function carry(turn, socket, resolve, reject) {
  let sent = 0;
  let endSent = false;
  let timer = setTimeout(() => socket.close(), 10000);
  const settle = (outcome, value) => {
    clearTimeout(timer);
    turn.push = () => {};
    outcome(value);
    socket.close();
  };
  turn.push = () => {
    if (turn.cancelled) return settle(resolve, {});
    if (socket.readyState !== WebSocket.OPEN || endSent) return;
    while (sent < turn.frames.length) socket.send(turn.frames[sent++]);
    if (!turn.ended) return;
    endSent = true;
    socket.send(JSON.stringify({ type: "end" }));
    timer = setTimeout(() => socket.close(), 2 * REQUEST_MS);
  };
  socket.onopen = () => {
    clearTimeout(timer);
    networkBack();
    socket.send(JSON.stringify({ type: "start", message_id: turn.id, rate: RATE }));
    turn.push();
  };
  socket.onmessage = (event) => voiceMessage(turn, JSON.parse(event.data), settle, resolve, reject);
  socket.onclose = () => settle(reject, new Unreachable());
}

function voiceMessage(turn, message, settle, resolve, reject) {
  const here = turn.visit === visit;
  if (message.type === "partial" && here) showHeard(message.text, false);
  if (message.type === "heard") {
    if (recording?.turn === turn) stopListening();
    if (here) showHeard(message.text, true, turn);
  }
  if (message.type === "reply") settle(resolve, message);
  if (message.type !== "error") return;
  if (recording?.turn === turn) stopListening();
  if (message.reply) settle(resolve, message);
  else settle(reject, UNKEPT.includes(message.error) ? new Unreachable(message.say) : new Refused(message.error, message.say));
}

// ---------------------------------------------------------------- the microphone

const MIC_FAULTS = { NotAllowedError: "refused", SecurityError: "refused", NotReadableError: "busy", AbortError: "busy" };

async function openMicrophone() {
  if (!navigator.mediaDevices?.getUserMedia) throw new MicTrouble(window.isSecureContext ? "missing" : "insecure");
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
  } catch (error) {
    throw new MicTrouble(MIC_FAULTS[error.name] || "missing");
  }
}

let workletReady = null;

async function openRecorder(onFrame) {
  const stream = await openMicrophone();
  try {
    const sound = audio();
    workletReady ??= sound.audioWorklet.addModule("/station/static/recorder-worklet.js");
    await workletReady;
    const source = sound.createMediaStreamSource(stream);
    const node = new AudioWorkletNode(sound, "recorder", { channelCountMode: "max" });
    source.connect(node).connect(sound.destination);
    return recorder(stream, source, node, onFrame);
  } catch (error) {
    workletReady = null;
    stream.getTracks().forEach((track) => track.stop());
    throw new MicTrouble("missing");
  }
}

function recorder(stream, source, node, onFrame) {
  let done;
  const finished = new Promise((resolve) => { done = resolve; });
  node.port.onmessage = ({ data }) => (data.done ? done() : onFrame(data.frame, data.level));
  stream.getAudioTracks()[0].addEventListener("ended", () => stopListening());
  return {
    async stop() {
      node.port.postMessage("flush");
      await Promise.race([finished, pause(300)]);
      source.disconnect();
      node.disconnect();
      stream.getTracks().forEach((track) => track.stop());
    },
  };
}

// ---------------------------------------------------------------- listening

/** Listens until the person ends it; `holding` while the button is held down. */
async function startListening(holding) {
  if (opening || recording) return;
  stopSpeaking();
  clearNotice();
  const mine = opening = {};
  refresh();
  const turn = voiceTurn();
  const session = { turn, holding, level: 0, floor: 0.02, spoke: false, last: now(), ending: false };
  try {
    session.recorder = await openRecorder((frame, level) => takeFrame(session, frame, level));
  } catch (error) {
    if (opening === mine) microphoneRefused(error.key || "missing");
    return;
  }
  // While the browser was still asking, the person went on by typing.
  if (opening !== mine) return void session.recorder.stop();
  opening = null;
  session.holding = holding && pressed !== null;
  session.began = session.last = now();
  recording = session;
  delete body.dataset.mic;
  sounds.listen();
  enqueue(turn);
}

function microphoneRefused(fault) {
  const key = PERSONAL ? "wechat" : fault;
  opening = null;
  body.dataset.mic = key;
  refresh();
  sounds.trouble();
  noticeFor(key);
}

function takeFrame(session, frame, level) {
  if (session.turn.ended) return;
  session.turn.frames.push(frame);
  session.turn.push();
  showLevel(level);
  session.floor = level < session.floor ? level : session.floor * 1.005 + 0.00002;
  if (level > Math.max(0.012, session.floor * 3)) {
    session.spoke = true;
    session.last = now();
  }
  checkLength(session);
}

function checkLength(session) {
  const length = session.turn.frames.length * FRAME_SECONDS;
  if (length >= SIGN_AT_S && !session.ending) {
    session.ending = true;
    sounds.sign();
    aside(PHRASES.long);
    refresh();
  }
  const patience = session.spoke ? SILENCE_AFTER_SPEECH_S : SILENCE_WITHOUT_SPEECH_S;
  const silent = !session.holding && now() - session.last > patience;
  if (length >= CAP_AT_S || silent) stopListening();
}

/** Ends the recording and sends it; a touch too short to hold a word is taken back. */
async function stopListening() {
  const session = recording;
  if (!session || session.stopping) return;
  session.stopping = true;
  await session.recorder.stop();
  const turn = session.turn;
  if (turn.frames.length * FRAME_SECONDS < 0.5) {
    turn.cancelled = true;
    notice(PHRASES.nothing, "nothing");
  }
  turn.ended = true;
  recording = null;
  showLevel(0);
  sounds.stop();
  turn.push();
  refresh();
}

const bars = [...$("meter").children];

function showLevel(level) {
  const loud = level > 0 ? Math.max(0, Math.min(1, 1 + Math.log10(level * 4) / 1.7)) : 0;
  bars.forEach((bar, index) => bar.classList.toggle("on", index < Math.round(loud * bars.length)));
  body.style.setProperty("--level", loud.toFixed(2));
}

// ---------------------------------------------------------------- the big button

let pressed = null;
let lastSwitch = -Infinity;

function press() {
  if (pressed) return;
  const time = now();
  pressed = { time, ends: false };
  audio();
  if ((time - lastSwitch) * 1000 < TREMOR_MS) {
    pressed.ignored = true;
    return;
  }
  lastSwitch = time;
  if (recording) {
    pressed.ends = true;
    stopListening();
  } else {
    pressed.fresh = !visit;
    if (visit) startListening(true);
    else firstPress(pressed);
  }
}

function release() {
  const was = pressed;
  pressed = null;
  if (!was || was.ignored || was.ends) return;
  if (was.fresh) {
    if (was.onRelease) was.onRelease();
    return;
  }
  if (recording?.holding && (now() - was.time) * 1000 >= HOLD_MS) {
    lastSwitch = now();
    stopListening();
  } else if (recording) {
    recording.holding = false;
    refresh();
  }
}

/** A finger that slipped away ends nothing: what is being said must not be cut off. */
function slip() {
  const was = pressed;
  pressed = null;
  if (was?.onRelease) was.onRelease();
  if (recording) recording.holding = false;
  refresh();
}

/** In a new visit a touch is greeted first; who holds on wants to speak at once. */
async function firstPress(mine) {
  const one = openVisit();
  const asking = persist(() => tokenOf(one), networkGone).then(networkBack, (error) => notice(error.say));
  const held = await Promise.race([
    pause(HOLD_MS).then(() => pressed === mine),
    new Promise((resolve) => { mine.onRelease = () => resolve(false); }),
  ]);
  if (held && (await audible())) {
    mine.fresh = false;
    return startListening(true);
  }
  if (held) await untilReleased(mine);
  await greet(one, asking);
}

/** Browsers let a touch screen sound and record only once the finger has been lifted. */
function untilReleased(mine) {
  noticeFor("release");
  return new Promise((resolve) => {
    mine.onRelease = resolve;
    if (pressed !== mine) resolve();
  });
}

async function greet(one, asking) {
  await Promise.race([asking, pause(3000)]);
  if (one !== visit || recording || opening) return;
  clearNotice("release");
  if (one.greeting && !one.last) {
    one.last = one.greeting;
    showSurroundings(one.greeting);
    showReply(one.greeting);
    if (!(await speak(one.greeting, GREETING_VOICE_MS))) return;
  }
  if (one === visit && !recording && !opening && !underWay()) startListening(false);
}

function holdButton() {
  const button = $("talk");
  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    press();
  });
  button.addEventListener("pointerup", release);
  button.addEventListener("pointercancel", slip);
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  // A click without a pointer or key before it comes from a screen reader or a switch.
  button.addEventListener("click", (event) => {
    if (event.detail !== 0 || pressed) return;
    press();
    release();
  });
}

function isTalkKey(event) {
  const elsewhere = event.target.closest?.("input, select, a, button:not(#talk)");
  return (event.key === " " || event.key === "Enter") && !elsewhere;
}

/** A card reader types what the card's code holds, and Enter, without a pause. */
const scan = { typed: "", at: -Infinity };

function endsScan(event) {
  if (event.target.closest?.("input, select")) return false;
  if (event.timeStamp - scan.at > SCAN_GAP_MS) scan.typed = "";
  scan.at = event.timeStamp;
  if (event.key.length === 1) scan.typed += event.key;
  if (event.key !== "Enter") return false;
  const card = scan.typed.match(CARD);
  scan.typed = "";
  if (card) showCard(card[1]);
  return Boolean(card);
}

function showCard(number) {
  sendTyped(`卡号 ${number.slice(0, 4)} ${number.slice(4)}`);
}

/** In WeChat the code of a card leads here; its number is said once, not at every reload. */
function takeCardAlong() {
  const card = new URLSearchParams(location.search).get("card")?.match(CARD);
  if (!PERSONAL || !card) return;
  history.replaceState(null, "", location.pathname);
  showCard(card[1]);
}

function holdKeys() {
  addEventListener("keydown", (event) => {
    if (endsScan(event)) return event.preventDefault();
    if (!isTalkKey(event)) return;
    event.preventDefault();
    if (!event.repeat) press();
  });
  addEventListener("keyup", (event) => {
    if (!isTalkKey(event)) return;
    event.preventDefault();
    release();
  });
  addEventListener("blur", () => pressed && slip());
}

// ---------------------------------------------------------------- the other buttons

async function sayAgain() {
  clearNotice();
  stopSpeaking();
  const last = visit?.last;
  if (!last) {
    refresh();
    noticeFor("press");
    return;
  }
  bringIntoView($("answers"));
  await speak(last);
}

async function command(text) {
  audio();
  opening = null;
  if (recording) await stopListening();
  sendTyped(text);
}

function slower() {
  if (visit?.last) command("慢一点");
  else noticeFor("press");
}

function submitTyped(event) {
  event.preventDefault();
  const text = $("typed").value.trim();
  if (!text) return;
  $("typed").value = "";
  command(text);
}

function resize(step) {
  const at = SIZES.indexOf(Number(body.dataset.size || SIZES[0]));
  setSize(SIZES[Math.max(0, Math.min(SIZES.length - 1, at + step))]);
}

function setSize(size) {
  body.dataset.size = size;
  document.documentElement.style.setProperty("--text", `${size}px`);
  $("smaller").disabled = size === SIZES[0];
  $("larger").disabled = size === SIZES.at(-1);
  try {
    localStorage.setItem("text-size", size);
  } catch {
    // Private windows may keep nothing; the size then holds for this visit.
  }
}

function storedSize() {
  try {
    const size = Number(localStorage.getItem("text-size"));
    return SIZES.includes(size) ? size : SIZES[0];
  } catch {
    return SIZES[0];
  }
}

function speakerFromAddress() {
  const wanted = new URLSearchParams(location.search).get("speaker");
  const known = [...$("speaker").options].some((option) => option.value === wanted);
  $("speaker").value = known ? wanted : "self";
}

// ---------------------------------------------------------------- leaving nothing behind

let quietTimers = [];

function watchQuiet() {
  quietTimers.forEach(clearTimeout);
  quietTimers = [];
  clearNotice("wipe");
  const something = visit || $("typed").value;
  if (PERSONAL || !something || currentState() !== "idle") return;
  const { wipeAfter, wipeHeld, wipeWarning } = body.dataset;
  const seconds = Number(visit?.held || visit?.call ? wipeHeld : wipeAfter);
  quietTimers = [
    setTimeout(() => noticeFor("wipe"), (seconds - wipeWarning) * 1000),
    setTimeout(wipe, seconds * 1000),
  ];
}

/** Ends the visit; what was not yet delivered goes on being sent, unseen. */
function wipe() {
  quietTimers.forEach(clearTimeout);
  stopSpeaking();
  opening = null;
  visit?.events?.close();
  visit = null;
  networkLost = false;
  givenUp = false;
  clearNotice();
  aside("");
  for (const id of ["held", "heard", "number", "number-spoken", "call-link", "matter"]) put(id, "");
  for (const id of ["held", "heard-box", "number-box", "call", "matter"]) show($(id), false);
  $("answers").replaceChildren();
  $("typed").value = "";
  show($("welcome"), true);
  $("words").scrollTop = 0;
  speakerFromAddress();
  refresh();
}

async function changeSpeaker() {
  const chosen = $("speaker").value;
  if (!visit) return;
  if (recording) await stopListening();
  wipe();
  $("speaker").value = chosen;
}

// ---------------------------------------------------------------- beginning

function begin() {
  speakerFromAddress();
  setSize(storedSize());
  holdButton();
  holdKeys();
  $("again").addEventListener("click", sayAgain);
  $("slower").addEventListener("click", slower);
  $("person").addEventListener("click", () => command("找人"));
  $("typed-form").addEventListener("submit", submitTyped);
  $("smaller").addEventListener("click", () => resize(-1));
  $("larger").addEventListener("click", () => resize(1));
  $("speaker").addEventListener("change", changeSpeaker);
  for (const kind of ["pointerdown", "keydown", "input"]) addEventListener(kind, watchQuiet, { passive: true });
  addEventListener("offline", () => visit && networkGone(0));
  addEventListener("online", networkBack);
  addEventListener("pagehide", () => {
    recording?.recorder.stop();
    wipe();
  });
  if (!window.isSecureContext) notice(PHRASES.insecure, "insecure", false);
  refresh();
  if (PERSONAL) openPersonal();
  loadPhrases();
}

/** The conversation is there already: replies come in from the first moment. */
function openPersonal() {
  const one = openVisit();
  persist(() => tokenOf(one), networkGone).then(networkBack, (error) => notice(error.say, null, false));
  takeCardAlong();
  // Left by `pagehide` without a trace; who comes back sees it as it stands now.
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}

begin();
