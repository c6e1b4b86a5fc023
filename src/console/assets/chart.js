// A chart of a metric over the last minutes, with axes. A note says in words what it shows.

import { h, setText, svg } from './dom.js';

const WIDTH = 320;
const HEIGHT = 96;

let charts = 0;

export class Chart {
  values = [];

  /** `format` formats a value, `base` is the factor between its units, and `span` is in minutes. */
  constructor(title, format, base, span) {
    charts += 1;
    Object.assign(this, { format, base, span });
    const id = `chart-${charts}`;
    this.value = h('p', { class: 'chart-value' }, '–');
    this.note = h('p', { class: 'chart-note muted' }, 'No values yet');
    this.area = svg('path', { class: 'area' });
    this.line = svg('path', { class: 'line' });
    const grid = svg('path', { class: 'grid', d: [0, HEIGHT / 2, HEIGHT].map((y) => `M0,${y}H${WIDTH}`).join('') });
    this.ticks = ['', '', ''].map(() => h('span', {}));
    const times = [`${span} min ago`, `${Math.round(span / 2)} min`, 'now'].map((text) => h('span', {}, text));
    this.element = h('section', { class: 'card chart', 'aria-labelledby': id },
      h('div', { class: 'chart-head' }, h('h2', { id, class: 'chart-title' }, title), this.value),
      h('div', { class: 'plot', 'aria-hidden': 'true' },
        h('div', { class: 'y-axis' }, ...this.ticks),
        svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none' }, grid, this.area, this.line),
        h('div', { class: 'x-axis' }, ...times)),
      this.note);
  }

  /** Shows values, oldest first, that are `step` seconds apart; null where nothing was measured. */
  show(values, step) {
    const slots = (this.span * 60) / step;
    this.values = values.slice(-slots);
    const known = this.values.filter((value) => value !== null);
    const last = this.values.at(-1) ?? null;
    setText(this.value, last === null ? '–' : this.format(last));
    if (!known.length) return;
    const highest = Math.max(...known);
    setText(this.note, `lowest ${this.format(Math.min(...known))}, highest ${this.format(highest)}`);
    const top = ceiling(highest, this.base);
    [top, top / 2, 0].forEach((value, index) => setText(this.ticks[index], this.format(value)));
    const x = (index) => (WIDTH - ((this.values.length - 1 - index) * WIDTH) / (slots - 1)).toFixed(1);
    const lines = segments(this.values).map((segment) =>
      segment.map(([index, value]) => [x(index), (HEIGHT - (value / top) * HEIGHT).toFixed(1)]));
    // A single point is drawn as a dot.
    this.line.setAttribute('d', lines.map((line) => `M${line.join('L')}${line.length === 1 ? 'h0' : ''}`).join(''));
    this.area.setAttribute('d', lines.map((line) => `M${line.join('L')}V${HEIGHT}H${line[0][0]}Z`).join(''));
  }
}

/** A round number that is not below a value, as the top of an axis. */
function ceiling(value, base) {
  if (value <= 0) return 1;
  let unit = base ** Math.floor(Math.log(value) / Math.log(base));
  if (base !== 10) unit *= 10 ** Math.floor(Math.log10(value / unit));
  return unit * ([1, 2, 4, 6, 8].find((step) => step * unit >= value) ?? 10);
}

/** The runs of values between missing ones, with their indexes. */
function segments(values) {
  const found = [];
  values.forEach((value, index) => {
    if (value === null) return;
    if (!index || values[index - 1] === null) found.push([]);
    found.at(-1).push([index, value]);
  });
  return found;
}
