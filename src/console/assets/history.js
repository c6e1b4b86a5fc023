// Charts of the server's metrics, which it remembers for an hour.

import { Chart } from './chart.js';
import { h, table } from './dom.js';
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
    const metrics = METRICS.slice(0, most);
    this.charts = metrics.map((metric) => new Chart(...metric, span));
    this.element = h('div', { class: 'charts' }, this.charts.map(({ element }) => element));
    const [box, rows] = table('The last hour as a table', ['From', ...metrics.map(([title]) => title)], 'history numeric');
    this.rows = rows;
    this.table = h('details', {}, h('summary', {}, 'As a table'), box);
  }

  fill({ intervalSeconds: step, series }) {
    for (const chart of this.charts) chart.show(series[chart.series] ?? [], step);
    const size = (this.span * 60) / step / ROWS;
    this.rows.replaceChildren(...Array.from({ length: ROWS }, (_, row) => h('tr', {},
      h('th', { scope: 'row' }, timeOfDay(Date.now() - (row + 1) * size * step * 1000)),
      this.charts.map(({ values, format }) => h('td', {}, mean(values.slice(-(row + 1) * size, -row * size || undefined), format))))));
  }
}

function mean(values, format) {
  const known = values.filter((value) => value !== null);
  return known.length ? format(known.reduce((sum, value) => sum + value, 0) / known.length) : '–';
}
