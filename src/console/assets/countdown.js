// The remaining time of a session. It counts from the arrival of the server's numbers, so that a wrong
// clock of the browser does not matter.

import { h, setText } from './dom.js';
import { duration } from './format.js';

const MINUTE = 60_000;
const TICK = 500;

/** The bar moves in steps: motion all the time costs processor time. */
const STEPS = 200;

const running = new Set();

/** One timer for all of them. */
setInterval(() => {
  if (document.hidden) return;
  for (const countdown of running) countdown.tick();
}, TICK);

/** A bar with a text. `ended` is called once, when the time is over. */
export class Countdown {
  constructor(session, { ended = () => {} } = {}) {
    this.fill = h('span', { class: 'bar-fill' });
    this.words = h('span', { class: 'bar-words' });
    this.element = h('span', { class: 'countdown' }, h('span', { class: 'bar', 'aria-hidden': 'true' }, this.fill), this.words);
    this.ended = ended;
    this.take(session);
    running.add(this);
  }

  /** Shows the session as the server reports it. */
  take(session) {
    const remaining = session.timeRemaining;
    const { timeoutMinutes, warningThresholdMinutes, autoRenew } = session.timeoutConfig;
    const since = session.renewalCount > 0 && autoRenew ? session.lastActivity : session.createdAt;
    const window = new Date(session.expiresAt) - new Date(since);
    this.total = Math.max(remaining, Math.min(timeoutMinutes * MINUTE, window), 1);
    this.threshold = warningThresholdMinutes * MINUTE * Math.min(1, window / (timeoutMinutes * MINUTE));
    this.wasWarned = session.isNearExpiration;
    this.until = performance.now() + remaining;
    this.isOver = false;
    this.show();
  }

  /** The server has sent a warning before the expiration. */
  warn() {
    this.wasWarned = true;
    this.show();
  }

  /** Ends the countdown. */
  finish() {
    this.until = performance.now();
    this.tick();
  }

  get remaining() {
    return Math.max(0, this.until - performance.now());
  }

  tick() {
    if (!this.element.isConnected) return;
    if (this.isOver) return;
    this.show();
    if (this.remaining > 0) return;
    this.isOver = true;
    this.ended();
  }

  stop() {
    running.delete(this);
  }

  show() {
    const { remaining } = this;
    const isNear = this.wasWarned || remaining <= this.threshold;
    const state = remaining <= 0 ? 'over' : isNear ? 'near' : 'far';
    if (this.element.dataset.state !== state) this.element.dataset.state = state;
    const step = Math.ceil(Math.min(1, remaining / this.total) * STEPS);
    if (step !== this.step) this.fill.style.transform = `scaleX(${step / STEPS})`;
    this.step = step;
    setText(this.words, remaining <= 0 ? 'expired' : `${duration(Math.ceil(remaining / 1000) * 1000)} left`);
  }
}
