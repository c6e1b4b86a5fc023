// What is known about a session, as a list of terms.

import { copyButton } from './copy.js';
import { h } from './dom.js';
import { count, fullTime, plural } from './format.js';

const id = (value) => [h('span', { class: 'mono' }, value), copyButton(() => value)];

/** Shows the facts if they have changed, so that a selection in them stays. */
export function showFacts(list, session, agentName) {
  const shown = JSON.stringify([session, agentName], (name, value) => (name === 'timeRemaining' ? undefined : value));
  if (shown === list.dataset.shown) return;
  list.dataset.shown = shown;
  const facts = session.createdAt ? factsOf(session, agentName) : [['Session', id(session.sessionId)], ['Expired', fullTime(session.expiresAt)]];
  list.replaceChildren(...facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
}

function factsOf(session, agentName) {
  const { timeoutConfig: times } = session;
  const metadata = JSON.stringify(session.metadata, undefined, 2);
  return [
    ['Session', id(session.sessionId)],
    ...continued(session.continuedFrom),
    ['Agent', [h('span', { class: 'fact', dir: 'auto' }, agentName ?? 'Removed agent'), ...id(session.agentId)]],
    ['User', id(session.userId)],
    ['Created', fullTime(session.createdAt)],
    ['Last activity', fullTime(session.lastActivity)],
    [session.status === 'expired' ? 'Expired' : 'Expires', fullTime(session.expiresAt)],
    ...(session.retainedUntil ? [['Retained until', fullTime(session.retainedUntil)]] : []),
    ['Renewed', session.renewalCount === 1 ? 'once' : `${count(session.renewalCount)} times`],
    ['Timeout', `${count(times.timeoutMinutes)} min, maximum duration ${count(times.maxDurationMinutes)} min`],
    ['Warning', `${count(times.warningThresholdMinutes)} min before expiration`],
    ['Renewal', times.autoRenew ? 'automatic' : 'manual only'],
    ['Metadata', h('pre', { tabindex: '0', role: 'group', 'aria-label': 'Metadata' }, metadata)],
  ];
}

function continued(source) {
  if (!source) return [];
  const { sessionId, copied, complete } = source;
  const note = complete ? `With ${plural(copied, 'message')}.` : `With the newest ${plural(copied, 'message')}; earlier ones were left out.`;
  return [['Continued from', [
    h('a', { class: 'mono', href: `#/sessions/${sessionId}` }, sessionId), copyButton(() => sessionId), h('span', { class: 'fact muted' }, note),
  ]]];
}
