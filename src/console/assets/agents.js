// The agents: who replies for each, how its turns went, and whether it replies now.

import { SessiondError, admin, client } from './api.js';
import { copyButton } from './copy.js';
import { startWith } from './dialogs.js';
import { h, setText, slowButton, terms, timeElement } from './dom.js';
import { failureText } from './failures.js';
import { ago, count, plural, seconds } from './format.js';
import { identity } from './identity.js';
import { noteReply, stateOf, status } from './status.js';
import { oneLine } from './text.js';
import { View } from './view.js';

const INTERVAL = 5000;

const STATES = { working: 'Working', failing: 'Failing', failed: 'Failed recently', unclear: 'Failed earlier', unused: 'Not used yet' };

/** What helps against a reason. */
const REMEDIES = {
  unavailable: 'Start or repair the server at its address, then probe the agent.',
  busy: 'Wait, or raise its limits.',
  too_long: 'Use a model with a longer context.',
  misconfigured: 'Correct the address, the model or the key in the agent’s file, restart the server, then probe the agent.',
  timeout: 'The model server may be overloaded. The agent’s file has the limits.',
  internal: 'The warnings of the server say more.',
};

export const agentsView = (signal) => new Agents(signal).element;

class Agents extends View {
  constructor(signal) {
    super('Agents', 'The agents', signal);
    this.content.className = 'agents';
    this.keepFresh(INTERVAL);
  }

  async refresh() {
    const { isAdmin } = await identity();
    const agents = await (isAdmin ? admin : client).agents({ signal: this.signal });
    const failing = isAdmin && agents.filter((agent) => stateOf(agent) === 'failing').length;
    setText(this.summary, plural(agents.length, 'agent') + (failing ? `, ${count(failing)} failing` : ''));
    const ids = agents.map(({ id }) => id).join();
    if (ids !== this.ids) {
      this.ids = ids;
      this.cards = agents.map(({ id }) => new Card(id, isAdmin, this.signal));
      this.content.replaceChildren(...this.cards.map(({ element }) => element));
    }
    agents.forEach((agent, index) => this.cards[index].take(agent));
    if (agents.length) this.show();
    else this.show('No agents', 'Put a character file into the directory of the agents and restart the server.');
  }
}

class Card {
  constructor(agentId, isAdmin, signal) {
    Object.assign(this, { isAdmin, signal });
    const id = `agent-${agentId}`;
    const action = (text, act) => slowButton(text, act, { 'aria-describedby': id });
    this.name = h('h2', { id, dir: 'auto' });
    this.chip = h('span', { class: 'chip', hidden: !isAdmin });
    this.facts = h('dl', { class: 'pairs' });
    this.failure = h('div', { class: 'last-failure' });
    this.result = h('div', { class: 'probe', role: 'status' });
    this.element = h('section', { class: 'card agent', 'aria-labelledby': id },
      h('div', { class: 'agent-head' }, this.name, this.chip),
      h('div', { class: 'id-line' }, h('span', { class: 'mono muted clip' }, agentId), copyButton(() => agentId)),
      this.facts, this.failure, this.result,
      h('div', { class: 'actions' }, isAdmin && action('Probe', () => this.probe()), action('Chat', () => this.chat())));
  }

  take(agent) {
    this.agent = agent;
    setText(this.name, oneLine(agent.name) || 'An agent without a name');
    if (!this.isAdmin) {
      this.failure.replaceChildren(h('p', { class: 'muted', dir: 'auto' }, agent.bio));
      return;
    }
    const state = stateOf(agent);
    this.chip.dataset.state = state;
    setText(this.chip, STATES[state]);
    const { backend, model, address, turns, failures, lastFailure } = agent;
    const shown = JSON.stringify([backend, model, address, turns, failures, lastFailure]);
    if (shown !== this.shown) {
      this.shown = shown;
      this.facts.replaceChildren(...terms([
        ['Back end', backend], ['Model', model ? oneLine(model) : '–'], ['Turns', count(turns)], ['Failures', count(failures)], ['Address', address ?? '–'],
      ]));
      this.ago = lastFailure && timeElement(lastFailure.at);
      this.failure.replaceChildren(...(lastFailure ? failed(['Last failure, ', this.ago], lastFailure) : []));
    }
    if (lastFailure) setText(this.ago, ago(lastFailure.at, status.now()));
  }

  async probe() {
    this.result.className = 'probe';
    this.result.replaceChildren(h('p', { class: 'muted' }, 'Asking the agent. This can take up to 30 s.'));
    try {
      this.probed(await admin.probe(this.agent.id, { signal: this.signal }));
    } catch (error) {
      this.result.replaceChildren();
      throw error.status === 429 ? new SessiondError('The agent is being probed already. Try again in a moment.', { status: 429 }) : error;
    }
  }

  probed({ ok, firstChunkMs, model, reason, cause }) {
    this.result.classList.add(ok ? 'good' : 'bad');
    // The same need not be said twice.
    this.failure.hidden = !ok && cause === this.agent.lastFailure?.cause;
    if (!ok) return this.result.replaceChildren(...failed('The probe failed', { reason, cause }));
    noteReply(this.agent.id);
    this.take(this.agent);
    status.refresh();
    const text = firstChunkMs === undefined ? 'It takes messages; its replies are submitted later' : `First words after ${seconds(firstChunkMs / 1000)}`;
    return this.result.replaceChildren(h('h3', {}, 'The agent replies'), h('p', { dir: 'auto' }, text, model ? `, model ${model}.` : '.'));
  }

  async chat() {
    const { sessionId } = await startWith(this.agent.id);
    if (!this.signal.aborted) location.hash = `#/sessions/${sessionId}`;
  }
}

/** What is known about a failure, and what helps. */
const failed = (heading, { reason, cause }) => [
  h('h3', {}, heading),
  h('p', {}, h('strong', {}, failureText({ reason })), h('span', { class: 'mono muted' }, ` ${reason ?? ''}`)),
  cause ? h('p', { class: 'cause mono', dir: 'auto' }, cause) : '',
  h('p', { class: 'muted' }, REMEDIES[reason])];
