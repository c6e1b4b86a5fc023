// A small chart of a figure over the last minutes.

import { h, setText, svg } from './dom.js';

const WIDTH = 320;
const HEIGHT = 72;
const TOP = 6;

/** How many points it holds, and as how many it is drawn at least. */
const POINTS = 90;
const FEWEST = 15;

let charts = 0;

export class Chart {
  points = [];

  /** `words` says a value; `note` is what stands beside it. */
  constructor(title, words, { from = 0 } = {}) {
    charts += 1;
    this.words = words;
    this.from = from;
    const id = `chart-${charts}`;
    this.value = h('p', { class: 'chart-value' }, '–');
    this.note = h('p', { class: 'chart-note muted' }, '');
    this.area = svg('path', { class: 'area' });
    this.line = svg('path', { class: 'line' });
    this.drawing = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, this.area, this.line);
    this.element = h('section', { class: 'card chart', 'aria-labelledby': id }, h('h2', { id, class: 'chart-title' }, title), this.value, this.drawing, this.note);
  }

  push(value, note = '') {
    if (value !== undefined && Number.isFinite(value)) this.points.push(value);
    else if (this.points.length) this.points.push(this.points.at(-1));
    this.points = this.points.slice(-POINTS);
    const known = value !== undefined && Number.isFinite(value);
    setText(this.value, known ? this.words(value) : '–');
    setText(this.note, note || this.range());
    this.draw();
  }

  range() {
    if (this.points.length < 2) return '';
    return `at most ${this.words(Math.max(...this.points))} in this view`;
  }

  draw() {
    if (this.points.length < 2) return;
    const low = this.from === 'lowest' ? Math.min(...this.points) : this.from;
    const high = Math.max(...this.points, low);
    const span = high - low || 1;
    // A young chart is drawn wider, so that there is something to see.
    const step = WIDTH / Math.max(this.points.length - 1, FEWEST);
    const start = WIDTH - step * (this.points.length - 1);
    const places = this.points.map((value, index) => {
      const y = high === low ? HEIGHT - 1 : HEIGHT - 1 - ((value - low) / span) * (HEIGHT - TOP - 1);
      return `${(start + index * step).toFixed(1)},${y.toFixed(1)}`;
    });
    this.line.setAttribute('d', `M${places.join('L')}`);
    this.area.setAttribute('d', `M${start.toFixed(1)},${HEIGHT}L${places.join('L')}L${WIDTH},${HEIGHT}Z`);
  }
}
