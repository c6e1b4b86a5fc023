// The health of the server: what is wrong and where to act, and its metrics.

import { admin, namesOfAgents } from './api.js';
import { card, h, setText, table, terms } from './dom.js';
import { count, duration, seconds, short } from './format.js';
import { Charts } from './history.js';
import { samplesOf, sum } from './metrics.js';
import { status } from './status.js';
import { View, requireAdmin } from './view.js';

const INTERVAL = 5000;

const SUMMARIES = {
  healthy: 'The last write reached the disk, no damage was found, and nothing is known to fail.',
  locked: 'The health requires a token.',
  unreachable: 'The server does not respond. Retrying every five seconds.',
};

export const healthView = (signal) => new Health(signal).element;

class Health extends View {
  constructor(signal) {
    super('Health', 'The metrics', signal);
    this.sign = h('span', { class: 'dot big', 'aria-hidden': 'true' });
    this.head.classList.add('health-head');
    this.head.prepend(this.sign);
    // The summary is that of the metrics.
    this.state = h('p', { class: 'summary' });
    this.heading.after(this.state);
    this.problems = h('ul', { class: 'problems', 'aria-label': 'Problems' });
    this.numbers = h('dl', { class: 'numbers' }, terms(['Active sessions', 'Expiring soon', 'Uptime', 'Expired, retained', 'Messages stored', 'Open turns'].map((name) => [name, '–'])));
    this.message.before(this.problems, this.numbers);
    const [box, rows] = table('Table of the agents', ['Agent', 'Replies', 'Failures', 'Messages', 'Mean response time'], 'numeric');
    this.agents = rows;
    this.charts = new Charts(15, 6);
    this.content.append(this.charts.element, card('Agents since the start', box));
    status.subscribe((found) => this.showStatus(found), signal);
    status.refresh();
    this.keepFresh(INTERVAL);
  }

  showStatus({ kind, title, problems, health }) {
    this.sign.dataset.kind = kind;
    setText(this.heading, title);
    setText(this.state, SUMMARIES[kind] ?? '');
    const shown = JSON.stringify(problems);
    if (shown !== this.shown) {
      this.shown = shown;
      this.problems.replaceChildren(...problems.map((problem) => h('li', { class: 'card problem-card', 'data-kind': problem.kind },
        h('div', { class: 'grow' }, problems.length > 1 && h('h2', {}, problem.title), h('p', { class: 'lines' }, problem.text)),
        h('a', { href: problem.link[0] }, problem.link[1]))));
    }
    if (health) this.showNumbers(0, [count(health.activeSessions), count(health.expiringSoon), duration(health.uptime * 1000)]);
  }

  showNumbers(first, texts) {
    texts.forEach((text, index) => setText(this.numbers.children[first + index].lastChild, text));
  }

  async refresh() {
    await requireAdmin();
    const options = { signal: this.signal };
    const [history, text, names] = await Promise.all([admin.history(options), admin.metrics(options), namesOfAgents()]);
    const samples = samplesOf(text);
    this.charts.fill(history);
    this.showNumbers(3, ['sessions_kept', 'messages_stored', 'turns_open'].map((metric) => count(sum(samples, metric))));
    this.agents.replaceChildren(...Array.from(names, ([agent, name]) => rowOf(name || short(agent), (metric, labels) => sum(samples, metric, { agent, ...labels }))));
    this.show();
  }
}

/** The row of an agent; `total` returns a sum over its samples. */
function rowOf(name, total) {
  const replies = total('turns_total', { outcome: 'replied' });
  const answers = total('agent_answer_duration_seconds_count');
  const mean = answers ? seconds(total('agent_answer_duration_seconds_sum') / answers) : '–';
  return h('tr', {},
    h('th', { scope: 'row', dir: 'auto' }, h('span', { class: 'clip', title: name }, name)),
    [count(replies), count(total('turns_total') - replies), count(total('messages_total')), mean].map((value) => h('td', {}, value)));
}
