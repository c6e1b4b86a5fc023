// The health of the server, and its metrics since the page was opened.

import { api, namesOfAgents } from './api.js';
import { Chart } from './chart.js';
import { emptyState, h, setText } from './dom.js';
import { Metrics } from './metrics.js';
import { bytes, count, duration, plural, round, seconds, short } from './format.js';

const INTERVAL = 2000;

const TEXTS = {
  healthy: ['Healthy', 'The last write reached the disk, and no damage was found.'],
  degraded: ['Degraded', 'Some stored data is damaged. Damaged records are skipped and quarantined; everything else works.'],
  unhealthy: ['Unhealthy', 'Nothing can be written at present. Reads work, and writes are retried every second.'],
};

export function healthView(signal) {
  return new Health(signal).element;
}

class Health {
  constructor(signal) {
    this.signal = signal;
    this.heading = h('h1', {}, 'Health');
    this.summary = h('p', { class: 'summary' });
    this.sign = h('span', { class: 'dot big', 'aria-hidden': 'true' });
    this.numbers = {
      active: number('Active sessions'), soon: number('Expiring soon'), retained: number('Expired, retained'),
      messages: number('Messages stored'), turns: number('Open turns'), uptime: number('Uptime'),
    };
    this.charts = {
      writes: new Chart('Writes', (value) => `${round(value)}/s`),
      requests: new Chart('Requests', (value) => `${round(value)}/s`),
      commit: new Chart('Commit, p95', seconds),
      latency: new Chart('Response, p95', seconds),
      database: new Chart('Database file', bytes),
      memory: new Chart('Memory', bytes),
    };
    this.agents = h('tbody', {});
    this.agentCard = h('section', { class: 'card', 'aria-labelledby': 'agents', hidden: true }, h('h2', { id: 'agents' }, 'Agents'),
      h('table', {}, h('thead', {}, h('tr', {}, ...['Agent', 'Replies', 'Failures', 'Messages', 'Mean response time'].map((name) => h('th', { scope: 'col' }, name)))), this.agents));
    this.message = h('div', {});
    this.element = h('div', { class: 'view' },
      h('div', { class: 'view-head' }, h('div', { class: 'health-head' }, this.sign, h('div', {}, this.heading, this.summary))),
      h('dl', { class: 'numbers' }, ...Object.values(this.numbers).map(({ element }) => element)),
      this.message,
      (this.grid = h('div', { class: 'charts' }, ...Object.values(this.charts).map(({ element }) => element))),
      this.agentCard);
    this.keepFresh();
  }

  async keepFresh() {
    while (!this.signal.aborted) {
      if (!document.hidden) await Promise.all([this.refreshHealth(), this.refreshMetrics()]);
      await new Promise((resolve) => setTimeout(resolve, INTERVAL));
    }
  }

  async refreshHealth() {
    try {
      const health = await api.health(this.signal);
      const [title, text] = TEXTS[health.status] ?? [health.status, ''];
      this.sign.dataset.kind = health.status;
      setText(this.heading, title);
      setText(this.summary, health.invalidSessions ? `${text} ${plural(health.invalidSessions, 'session')} affected so far.` : text);
      this.numbers.active.set(count(health.activeSessions));
      this.numbers.soon.set(count(health.expiringSoon));
      this.numbers.uptime.set(duration(health.uptime * 1000));
    } catch (error) {
      if (this.signal.aborted) return;
      this.sign.dataset.kind = 'unreachable';
      setText(this.heading, error.status === 401 ? 'Not signed in' : 'Not connected');
      setText(this.summary, error.status === 401 ? 'The metrics require a token.' : 'The server does not respond. Retrying every two seconds.');
    }
  }

  async refreshMetrics() {
    try {
      const metrics = new Metrics(await api.metrics(this.signal));
      this.message.replaceChildren();
      this.grid.hidden = false;
      this.show(metrics, this.earlier ?? metrics);
      this.earlier = metrics;
    } catch (error) {
      if (this.signal.aborted || error.status === 0) return;
      this.grid.hidden = true;
      this.agentCard.hidden = true;
      const text = error.status === 403 ? 'The metrics require the admin token.' : error.message;
      this.message.replaceChildren(emptyState('No metrics', text));
    }
  }

  show(now, before) {
    const { numbers, charts } = this;
    numbers.retained.set(count(now.sum('sessiond_sessions_kept')));
    numbers.messages.set(count(now.sum('sessiond_messages_stored')));
    numbers.turns.set(count(now.sum('sessiond_turns_open')));
    const isApi = ({ route }) => route.startsWith('/api/') && !route.endsWith('/events');
    if (now !== before) {
      const commits = now.rate('sessiond_writer_commit_duration_seconds_count', before);
      charts.writes.push(now.rate('sessiond_writer_batch_commands_sum', before), `in ${round(commits)} commits/s`);
      charts.requests.push(now.rate('sessiond_http_request_duration_seconds_count', before));
      charts.commit.push(now.quantile('sessiond_writer_commit_duration_seconds', 0.95, before));
      charts.latency.push(now.quantile('sessiond_http_request_duration_seconds', 0.95, before, isApi));
    }
    const open = now.sum('sessiond_sockets_open') + now.sum('sessiond_event_streams_open');
    charts.database.push(now.sum('sessiond_database_size_bytes'), plural(now.sum('sessiond_messages_stored'), 'message'));
    charts.memory.push(now.sum('process_resident_memory_bytes'), plural(open, 'live subscriber'));
    this.showAgents(now);
  }

  async showAgents(now) {
    let names;
    try {
      names = await namesOfAgents();
    } catch {
      return;
    }
    const of = (id) => ({ agent }) => agent === id;
    const rows = [...names].map(([id, name]) => {
      const turns = (matches) => now.sum('sessiond_turns_total', ({ agent, outcome }) => agent === id && matches(outcome));
      const answers = now.sum('sessiond_agent_answer_duration_seconds_count', of(id));
      const time = now.sum('sessiond_agent_answer_duration_seconds_sum', of(id));
      const cells = [turns((outcome) => outcome === 'replied'), turns((outcome) => outcome !== 'replied'), now.sum('sessiond_messages_total', of(id))];
      return h('tr', {}, h('th', { scope: 'row', title: id }, h('span', { class: 'clip' }, name || short(id))),
        ...cells.map((value) => h('td', { class: 'number' }, count(value))),
        h('td', { class: 'number' }, answers ? seconds(time / answers) : '–'));
    });
    this.agents.replaceChildren(...rows);
    this.agentCard.hidden = false;
  }
}

function number(name) {
  const value = h('dd', {}, '–');
  return { element: h('div', {}, h('dt', {}, name), value), set: (text) => setText(value, text) };
}
