// Charts of the server's metrics, which it remembers for an hour.

import { Chart } from './chart.js';
import { emptyState, h } from './dom.js';
import { bytes, round, seconds, timeOfDay } from './format.js';

const rate = (value) => `${round(value)}/s`;
const share = (value) => `${round(value * 100)} %`;

/** The series, with a title and a format for each. Health shows the first six. */
const METRICS = [
  ['Writes', 'writesPerSecond', rate], ['Requests', 'requestsPerSecond', rate],
  ['Commit, p95', 'commitP95Seconds', seconds], ['Response, p95', 'requestP95Seconds', seconds],
  ['Database file', 'databaseBytes', bytes], ['Memory', 'residentMemoryBytes', bytes],
  ['Server errors', 'errorsPerSecond', rate], ['Messages', 'messagesPerSecond', rate],
  ['Failed turns', 'agentFailures', round], ['Open turns', 'turnsOpen', round],
  ['Active sessions', 'activeSessions', round], ['Live subscribers', 'liveSubscribers', round],
  ['Free on the disk', 'freeDiskBytes', bytes], ['Processor, of a core', 'cpuShare', share],
];

/** Rows of the table that says the same as the charts. */
const ROWS = 12;

export class Charts {
  /** `span` is in minutes. */
  constructor(span, most = METRICS.length) {
    this.span = span;
    this.metrics = METRICS.slice(0, most);
    this.charts = this.metrics.map(([title, , format]) => new Chart(title, format, format === bytes ? 1024 : 10, span));
    this.element = h('div', { class: 'charts' }, ...this.charts.map(({ element }) => element));
    this.rows = h('tbody', {});
    this.table = h('details', {}, h('summary', {}, 'As a table'),
      h('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': 'The last hour as a table' },
        h('table', { class: 'history' },
          h('thead', {}, h('tr', {}, ...['From', ...this.metrics.map(([title]) => title)].map((name) => h('th', { scope: 'col' }, name)))), this.rows)));
  }

  fill({ intervalSeconds: step, series }) {
    this.charts.forEach((chart, index) => chart.show(series[this.metrics[index][1]] ?? [], step));
    const size = (this.span * 60) / step / ROWS;
    this.rows.replaceChildren(...Array.from({ length: ROWS }, (_, row) => h('tr', {},
      h('th', { scope: 'row' }, timeOfDay(Date.now() - (row + 1) * size * step * 1000)),
      ...this.charts.map(({ values, format }) => h('td', { class: 'number' }, mean(nth(values, row, size), format))))));
  }

  fail(text) {
    this.element.replaceChildren(emptyState('No history', text));
  }
}

/** The values of a row; row 0 has the newest. */
function nth(values, row, size) {
  const end = Math.max(0, values.length - row * size);
  return values.slice(Math.max(0, end - size), end);
}

function mean(values, format) {
  const known = values.filter((value) => value !== null);
  return known.length ? format(known.reduce((sum, value) => sum + value, 0) / known.length) : '–';
}
