// The health of the server: what is wrong and where to act, and its metrics.

import { api, namesOfAgents } from './api.js';
import { emptyState, h, setText } from './dom.js';
import { Charts } from './history.js';
import { identity } from './identity.js';
import { Metrics } from './metrics.js';
import { count, duration, seconds, short } from './format.js';
import { status } from './status.js';

const INTERVAL = 5000;

export function healthView(signal) {
  return new Health(signal).element;
}

class Health {
  constructor(signal) {
    this.signal = signal;
    this.heading = h('h1', {}, 'Health');
    this.summary = h('p', { class: 'summary' });
    this.sign = h('span', { class: 'dot big', 'aria-hidden': 'true' });
    this.problems = h('ul', { class: 'problems', 'aria-label': 'Problems' });
    this.numbers = {
      active: number('Active sessions'), soon: number('Expiring soon'), retained: number('Expired, retained'),
      messages: number('Messages stored'), turns: number('Open turns'), uptime: number('Uptime'),
    };
    this.agents = h('tbody', {});
    this.agentCard = h('section', { class: 'card', 'aria-labelledby': 'agents', hidden: true }, h('h2', { id: 'agents' }, 'Agents since the start'),
      h('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': 'Table of the agents' },
        h('table', {}, h('thead', {}, h('tr', {}, ...['Agent', 'Replies', 'Failures', 'Messages', 'Mean response time'].map((name) => h('th', { scope: 'col' }, name)))), this.agents)));
    this.message = h('div', {});
    this.charts = new Charts(15, 6);
    this.element = h('div', { class: 'view' },
      h('div', { class: 'view-head' }, h('div', { class: 'health-head' }, this.sign, h('div', {}, this.heading, this.summary))),
      this.problems,
      h('dl', { class: 'numbers' }, ...Object.values(this.numbers).map(({ element }) => element)),
      this.message, this.charts.element, this.agentCard);
    this.charts.element.hidden = true;
    status.subscribe((found) => this.showStatus(found), signal);
    this.keepFresh();
  }

  async keepFresh() {
    status.refresh();
    while (!this.signal.aborted) {
      if (!document.hidden) await this.refreshMetrics();
      await new Promise((resolve) => setTimeout(resolve, INTERVAL));
    }
  }

  showStatus({ kind, title, problems, health }) {
    this.sign.dataset.kind = kind;
    setText(this.heading, title);
    setText(this.summary, {
      healthy: 'The last write reached the disk, no damage was found, and no agent is known to fail.',
      locked: 'The health requires a token.', unreachable: 'The server does not respond. Retrying every five seconds.',
    }[kind] ?? '');
    const shown = JSON.stringify(problems);
    if (shown !== this.shown) {
      this.shown = shown;
      this.problems.replaceChildren(...problems.map((problem) => h('li', { class: 'card problem-card', 'data-kind': problem.kind },
        h('div', { class: 'grow' }, problems.length > 1 && h('h2', { dir: 'auto' }, problem.title), h('p', { class: 'lines', dir: 'auto' }, problem.text)),
        h('a', { href: problem.link[0] }, problem.link[1]))));
    }
    if (!health) return;
    this.numbers.active.set(count(health.activeSessions));
    this.numbers.soon.set(count(health.expiringSoon));
    this.numbers.uptime.set(duration(health.uptime * 1000));
  }

  async refreshMetrics() {
    try {
      if (!(await identity()).isAdmin) return this.showMessage('The metrics require the admin token.');
      const [history, text] = await Promise.all([api.history(this.signal), api.metrics(this.signal)]);
      this.message.replaceChildren();
      this.charts.element.hidden = false;
      this.charts.fill(history);
      this.show(new Metrics(text));
    } catch (error) {
      if (!this.signal.aborted && error.status) this.showMessage(error.message);
    }
    return undefined;
  }

  showMessage(text) {
    this.charts.element.hidden = true;
    this.agentCard.hidden = true;
    this.message.replaceChildren(emptyState('No metrics', text));
  }

  show(now) {
    const { numbers } = this;
    numbers.retained.set(count(now.sum('sessiond_sessions_kept')));
    numbers.messages.set(count(now.sum('sessiond_messages_stored')));
    numbers.turns.set(count(now.sum('sessiond_turns_open')));
    this.showAgents(now);
  }

  async showAgents(now) {
    let names;
    try {
      names = await namesOfAgents();
    } catch {
      return;
    }
    const rows = [...names].map(([id, name]) => {
      const of = ({ agent }) => agent === id;
      const turns = (isReply) => now.sum('sessiond_turns_total', ({ agent, outcome }) => agent === id && (outcome === 'replied') === isReply);
      const answers = now.sum('sessiond_agent_answer_duration_seconds_count', of);
      const time = now.sum('sessiond_agent_answer_duration_seconds_sum', of);
      return [name || short(id), count(turns(true)), count(turns(false)), count(now.sum('sessiond_messages_total', of)), answers ? seconds(time / answers) : '–'];
    });
    const shown = JSON.stringify(rows);
    this.agentCard.hidden = false;
    if (shown === this.shownAgents) return;
    this.shownAgents = shown;
    this.agents.replaceChildren(...rows.map(([name, ...cells]) => h('tr', {},
      h('th', { scope: 'row', dir: 'auto' }, h('span', { class: 'clip', title: name }, name)), ...cells.map((cell) => h('td', { class: 'number' }, cell)))));
  }
}

function number(name) {
  const value = h('dd', {}, '–');
  return { element: h('div', {}, h('dt', {}, name), value), set: (text) => setText(value, text) };
}
