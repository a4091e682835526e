// Turns the microphone's float samples into frames of PCM16LE mono at 16 kHz.
// Posts {frame: ArrayBuffer, level: RMS 0..1} about every 100 ms, and {done: true} after a flush.

const OUT_RATE = 16000;
const FRAME = OUT_RATE / 10;
const HALF_WIDTH = 16;

function gcd(a, b) {
  return b ? gcd(b, a % b) : a;
}

/** Windowed-sinc filters, one for each position an output sample can take between two input samples. */
function polyphase(inRate) {
  const phases = OUT_RATE / gcd(inRate, OUT_RATE);
  const cutoff = Math.min(1, OUT_RATE / inRate) * 0.92;
  const half = Math.ceil(HALF_WIDTH / cutoff);
  const banks = [];
  for (let phase = 0; phase < phases; phase++) {
    banks.push(bank(phase / phases, cutoff, half));
  }
  return { phases, half, banks };
}

function bank(offset, cutoff, half) {
  const taps = new Float32Array(2 * half);
  let sum = 0;
  for (let k = 0; k < taps.length; k++) {
    const x = k - half + 1 - offset;
    const sinc = x === 0 ? 1 : Math.sin(Math.PI * cutoff * x) / (Math.PI * cutoff * x);
    const window = 0.5 + 0.5 * Math.cos((Math.PI * x) / (half + 1));
    taps[k] = sinc * window;
    sum += taps[k];
  }
  return taps.map((tap) => tap / sum);
}

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.filters = polyphase(sampleRate);
    this.step = (sampleRate / gcd(sampleRate, OUT_RATE)) | 0;
    this.buffer = new Float32Array(this.filters.half);
    this.filled = this.filters.half;
    this.at = 0;
    this.phase = 0;
    this.frame = new Int16Array(FRAME);
    this.count = 0;
    this.power = 0;
    this.alive = true;
    this.port.onmessage = () => this.finish();
  }

  finish() {
    if (!this.alive) return;
    this.absorb(new Float32Array(this.filters.half));
    this.emit();
    this.alive = false;
    this.port.postMessage({ done: true });
  }

  process(inputs) {
    if (this.alive && inputs[0].length > 0) this.absorb(mono(inputs[0]));
    return this.alive;
  }

  absorb(samples) {
    const joined = new Float32Array(this.filled + samples.length);
    joined.set(this.buffer.subarray(0, this.filled));
    joined.set(samples, this.filled);
    this.resample(joined);
    this.buffer = joined.slice(this.at);
    this.filled = this.buffer.length;
    this.at = 0;
  }

  resample(samples) {
    const { phases, half, banks } = this.filters;
    while (this.at + 2 * half <= samples.length) {
      const taps = banks[this.phase];
      let value = 0;
      for (let k = 0; k < taps.length; k++) value += taps[k] * samples[this.at + k];
      this.write(value);
      this.phase += this.step;
      this.at += Math.floor(this.phase / phases);
      this.phase %= phases;
    }
  }

  write(value) {
    const clipped = Math.max(-1, Math.min(1, value));
    this.power += clipped * clipped;
    this.frame[this.count++] = Math.round(clipped * 32767);
    if (this.count === FRAME) this.emit();
  }

  emit() {
    if (this.count === 0) return;
    const frame = this.frame.slice(0, this.count).buffer;
    const level = Math.sqrt(this.power / this.count);
    this.count = 0;
    this.power = 0;
    this.port.postMessage({ frame, level }, [frame]);
  }
}

function mono(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, i) => channels.reduce((sum, one) => sum + one[i], 0) / channels.length);
}

registerProcessor("recorder", Recorder);
