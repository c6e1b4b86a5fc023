// The agents: who replies for each, how its turns went, and whether it replies now.

import { api, reopenTokenPrompt } from './api.js';
import { copyButton } from './copy.js';
import { startWith } from './dialogs.js';
import { emptyState, h, notify, setText } from './dom.js';
import { ago, count, fullTime, plural, seconds } from './format.js';
import { identity } from './identity.js';
import { noteReply, stateOf, status } from './status.js';

const INTERVAL = 5000;

const STATES = { working: 'Working', failing: 'Failing', failed: 'Failed recently', unclear: 'Failed earlier', unused: 'Not used yet' };

/** What a reason means, and what helps. */
const REASONS = {
  unavailable: ['The model server does not answer', 'Start the server at its address, then probe the agent.'],
  busy: ['The model server is busy', 'Wait, or raise its limits.'],
  too_long: ['The conversation is too long for the model', 'Use a model with a longer context.'],
  refused: ['The agent declined to reply', ''],
  misconfigured: ['The agent is not configured correctly', 'Correct the address, the model or the key in the agent’s file, restart the server, then probe the agent.'],
  timeout: ['The reply took too long', 'The model server may be overloaded. The agent’s file has the limits.'],
  invalid_reply: ['The reply was interrupted or cannot be read', ''],
  internal: ['The server failed', 'Its warnings say more.'],
};

export function agentsView(signal) {
  return new Agents(signal).element;
}

class Agents {
  cards = new Map();

  constructor(signal) {
    this.signal = signal;
    this.summary = h('p', { class: 'summary', role: 'status' }, 'Loading the agents');
    this.list = h('div', { class: 'agents' });
    this.message = h('div', {});
    this.element = h('div', { class: 'view' },
      h('div', { class: 'view-head' }, h('div', {}, h('h1', {}, 'Agents'), this.summary)), this.message, this.list);
    this.keepFresh();
  }

  async keepFresh() {
    while (!this.signal.aborted) {
      if (!document.hidden) await this.refresh();
      await new Promise((resolve) => setTimeout(resolve, INTERVAL));
    }
  }

  async refresh() {
    try {
      const { isAdmin } = await identity();
      const agents = await (isAdmin ? api.agentStates(this.signal) : api.agents(this.signal));
      if (!this.signal.aborted) this.show(agents, isAdmin);
    } catch (error) {
      if (!this.signal.aborted) this.fail(error);
    }
  }

  fail(error) {
    if (error.status === 0 && this.cards.size) return;
    setText(this.summary, '');
    this.list.replaceChildren();
    this.cards.clear();
    this.message.replaceChildren(error.status === 401
      ? emptyState('Not signed in', 'The agents require a token.', h('button', { type: 'button', onclick: reopenTokenPrompt }, 'Enter the token'))
      : emptyState('The agents cannot be shown', error.message));
  }

  show(agents, isAdmin) {
    const failing = isAdmin ? agents.filter((agent) => stateOf(agent) === 'failing').length : 0;
    setText(this.summary, plural(agents.length, 'agent') + (failing ? `, ${count(failing)} failing` : ''));
    this.message.replaceChildren(...(agents.length ? [] : [emptyState('No agents', 'Put a character file into the directory of the agents and restart the server.')]));
    const ids = new Set(agents.map(({ id }) => id));
    for (const [id, card] of this.cards) {
      if (ids.has(id)) continue;
      card.element.remove();
      this.cards.delete(id);
    }
    for (const agent of agents) {
      let card = this.cards.get(agent.id);
      if (!card) {
        card = new Card(agent, isAdmin, this.signal);
        this.cards.set(agent.id, card);
        this.list.append(card.element);
      }
      card.take(agent);
    }
  }
}

class Card {
  constructor(agent, isAdmin, signal) {
    this.agent = agent;
    this.isAdmin = isAdmin;
    this.signal = signal;
    const id = `agent-${agent.id}`;
    this.name = h('h2', { id, dir: 'auto' });
    this.chip = h('span', { class: 'chip', hidden: !isAdmin });
    this.facts = h('dl', { class: 'pairs' });
    this.failure = h('div', { class: 'last-failure' });
    this.result = h('div', { class: 'probe', role: 'status' });
    this.probing = h('button', { type: 'button', 'aria-describedby': id, onclick: () => this.probe() }, 'Probe');
    this.chatting = h('button', { type: 'button', 'aria-describedby': id, onclick: () => this.chat() }, 'Chat');
    this.element = h('section', { class: 'card agent', 'aria-labelledby': id },
      h('div', { class: 'agent-head' }, this.name, this.chip),
      h('div', { class: 'id-line' }, h('span', { class: 'mono muted clip' }, agent.id), copyButton(() => agent.id)),
      this.facts, this.failure, this.result,
      h('div', { class: 'actions' }, isAdmin && this.probing, this.chatting));
  }

  take(agent) {
    this.agent = agent;
    setText(this.name, agent.name || 'An agent without a name');
    if (!this.isAdmin) {
      if (agent.bio) this.failure.replaceChildren(h('p', { class: 'muted', dir: 'auto' }, agent.bio));
      return;
    }
    const state = stateOf(agent);
    this.chip.dataset.state = state;
    setText(this.chip, STATES[state]);
    const { backend, model, address, turns, failures, lastFailure } = agent;
    const shown = JSON.stringify([backend, model, address, turns, failures, lastFailure?.at]);
    if (lastFailure) setText(this.ago ??= h('time', {}), ago(lastFailure.at, status.now()));
    if (shown === this.shown) return;
    this.shown = shown;
    this.facts.replaceChildren(...[
      ['Back end', backend], ['Model', model ?? '–'], ['Turns', count(turns)], ['Failures', count(failures)], ['Address', address ?? '–'],
    ].map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', {}, value))));
    this.failure.replaceChildren(...(lastFailure ? this.failed('Last failure', lastFailure) : []));
  }

  failed(heading, { at, reason, cause }) {
    const [title, remedy] = REASONS[reason] ?? ['The agent did not reply'];
    if (at) Object.assign(this.ago, { dateTime: at, title: fullTime(at) });
    return [
      h('h3', {}, heading, at && [', ', this.ago]),
      h('p', {}, h('strong', {}, title), reason && h('span', { class: 'mono muted' }, ` ${reason}`)),
      cause && h('p', { class: 'cause mono', dir: 'auto' }, cause),
      remedy && h('p', { class: 'muted' }, remedy)].filter(Boolean);
  }

  async probe() {
    this.probing.disabled = true;
    this.result.className = 'probe';
    this.result.replaceChildren(h('p', { class: 'muted' }, 'Asking the agent. This can take up to 30 s.'));
    try {
      this.probed(await api.probe(this.agent.id, this.signal));
    } catch (error) {
      if (this.signal.aborted) return;
      const texts = { 429: 'The agent is being probed already. Try again in a moment.', 404: 'There is no such agent any more.' };
      this.result.replaceChildren(h('p', { class: 'problem' }, texts[error.status] ?? error.message));
    } finally {
      this.probing.disabled = false;
      if (document.activeElement === document.body && this.element.isConnected) this.probing.focus();
    }
  }

  probed({ ok, firstChunkMs, model, reason, cause }) {
    this.result.classList.add(ok ? 'good' : 'bad');
    if (!ok) {
      this.result.replaceChildren(...this.failed('The probe failed', { reason, cause }));
      return;
    }
    noteReply(this.agent.id);
    this.take(this.agent);
    status.refresh();
    const text = firstChunkMs === undefined ? 'It takes messages; its replies are submitted later' : `First words after ${seconds(firstChunkMs / 1000)}`;
    this.result.replaceChildren(h('h3', {}, 'The agent replies'), h('p', { dir: 'auto' }, text, model ? `, model ${model}.` : '.'));
  }

  async chat() {
    this.chatting.disabled = true;
    try {
      const { sessionId } = await startWith(this.agent.id);
      if (!this.signal.aborted) location.hash = `#/sessions/${sessionId}`;
    } catch (error) {
      notify(error.message, 'bad');
    } finally {
      this.chatting.disabled = false;
    }
  }
}
