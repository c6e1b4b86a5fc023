// A small chart of a metric over the last minutes.

import { h, setText, svg } from './dom.js';

const WIDTH = 320;
const HEIGHT = 72;
const TOP = 6;

/** The maximum number of points, and the number that the width shows at least. */
const POINTS = 90;
const MIN_POINTS = 15;

let charts = 0;

export class Chart {
  points = [];

  /** `format` formats a value. */
  constructor(title, format, { from = 0 } = {}) {
    charts += 1;
    this.format = format;
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
    setText(this.value, known ? this.format(value) : '–');
    setText(this.note, note || this.range());
    this.draw();
  }

  range() {
    if (this.points.length < 2) return '';
    return `maximum ${this.format(Math.max(...this.points))} in this view`;
  }

  draw() {
    if (this.points.length < 2) return;
    const low = this.from === 'lowest' ? Math.min(...this.points) : this.from;
    const high = Math.max(...this.points, low);
    const span = high - low || 1;
    // A new chart is stretched, so that it is visible.
    const step = WIDTH / Math.max(this.points.length - 1, MIN_POINTS);
    const start = WIDTH - step * (this.points.length - 1);
    const places = this.points.map((value, index) => {
      const y = high === low ? HEIGHT - 1 : HEIGHT - 1 - ((value - low) / span) * (HEIGHT - TOP - 1);
      return `${(start + index * step).toFixed(1)},${y.toFixed(1)}`;
    });
    this.line.setAttribute('d', `M${places.join('L')}`);
    this.area.setAttribute('d', `M${start.toFixed(1)},${HEIGHT}L${places.join('L')}L${WIDTH},${HEIGHT}Z`);
  }
}
