/** One WebSocket for all there is to hear: every job's news, and previews of the one that is looked at. */

import { key } from "./api.js";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
const PING_MS = 20_000;
const SILENCE_MS = 50_000;
const REFUSED = 1008;

/** `onFrame({event, id, data})` hears everything; `onState` live, connecting or offline. */
export class Live {
  #socket = null;
  #pause = FIRST_PAUSE_MS;
  #timer = 0;
  #heardAt = 0;
  #followed = null;
  #lastId = "";
  #wanted = false;

  constructor(onFrame, onState) {
    this.onFrame = onFrame;
    this.onState = onState;
    this.isLive = false;
    setInterval(() => this.#watchOver(), PING_MS);
    addEventListener("online", () => this.#wanted && !this.isLive && this.open());
  }

  /** Connect, and stay connected. */
  open() {
    this.#wanted = true;
    clearTimeout(this.#timer);
    this.#leave();
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws`);
    this.#socket = socket;
    this.#state("connecting");
    socket.onopen = () => this.#greet();
    socket.onmessage = (message) => this.#hear(message);
    socket.onclose = (event) => socket === this.#socket && this.#lost(event.code);
  }

  /** Hear previews and steps of this job as well; of none with null. */
  follow(jobId) {
    if (this.#followed && this.#followed !== jobId) this.#send({ action: "unsubscribe", job_id: this.#followed });
    if (this.#followed !== jobId) this.#lastId = "";
    this.#followed = jobId;
    if (jobId) this.#subscribe();
  }

  #greet() {
    this.#pause = FIRST_PAUSE_MS;
    // Browsers cannot send headers here, and a key in an address ends up in logs.
    if (key()) this.#send({ action: "auth", key: key() });
    this.#send({ action: "subscribe" });
    if (this.#followed) this.#subscribe();
  }

  #subscribe() {
    this.#send({ action: "subscribe", job_id: this.#followed, previews: true, last_event_id: this.#lastId });
  }

  #hear(message) {
    this.#heardAt = Date.now();
    const frame = JSON.parse(message.data);
    if (frame.id && frame.data?.job_id === this.#followed) this.#lastId = frame.id;
    if (frame.event === "overview") this.#state("live");
    this.onFrame(frame);
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #watchOver() {
    if (!this.isLive) return;
    if (Date.now() - this.#heardAt > SILENCE_MS) this.#lost(0);
    else this.#send({ action: "ping" });
  }

  #lost(code) {
    this.#leave();
    this.#state("offline");
    // Without a right key there is nothing to come back for; whoever brings one calls open().
    if (code === REFUSED) return;
    this.#timer = setTimeout(() => this.open(), this.#pause * (0.75 + Math.random() / 2));
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
  }

  #leave() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #state(state) {
    this.isLive = state === "live";
    this.onState(state);
  }
}
