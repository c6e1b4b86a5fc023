// A chart of a metric over the last minutes, with axes. A note says in words what it shows.

import { card, h, setText, svg } from './dom.js';
import { bytes } from './format.js';

const WIDTH = 320;
const HEIGHT = 96;

export class Chart {
  values = [];

  /** `format` formats a value of the series; `span` is in minutes. */
  constructor(title, series, format, span) {
    Object.assign(this, { series, format, span });
    this.value = h('p', { class: 'chart-value' }, '–');
    this.note = h('p', { class: 'hint' }, 'No values yet');
    this.line = svg('path', { class: 'line' });
    this.ticks = ['', '', ''].map(() => h('span'));
    const times = [`${span} min ago`, `${Math.round(span / 2)} min`, 'now'].map((text) => h('span', {}, text));
    this.element = card(title, this.value,
      h('div', { class: 'plot', 'aria-hidden': 'true' },
        h('div', { class: 'y-axis' }, this.ticks),
        svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none' }, this.line),
        h('div', { class: 'x-axis' }, times)),
      this.note);
    this.element.classList.add('chart');
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
    const top = ceiling(highest, this.format === bytes ? 1024 : 10);
    [top, top / 2, 0].forEach((value, index) => setText(this.ticks[index], this.format(value)));
    const x = (index) => (WIDTH - ((this.values.length - 1 - index) * WIDTH) / (slots - 1)).toFixed(1);
    const y = (value) => (HEIGHT - (value / top) * HEIGHT).toFixed(1);
    const isMissing = (index) => (this.values[index] ?? null) === null;
    // Missing values part the line. A single value between them is drawn as a dash.
    this.line.setAttribute('d', this.values.map((value, index) => (value === null ? ''
      : `${isMissing(index - 1) ? 'M' : 'L'}${x(index)},${y(value)}${isMissing(index - 1) && isMissing(index + 1) ? 'h-6' : ''}`)).join(''));
  }
}

/** A round number that is not below a value, as the top of an axis. `base` is the factor between its units. */
function ceiling(value, base) {
  if (value <= 0) return 1;
  const unit = base ** Math.floor(Math.log(value) / Math.log(base));
  return unit * ([1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400, 600, 800].find((step) => step * unit >= value) ?? base);
}
