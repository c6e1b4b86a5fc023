// The console: which view the address names, how the server is, and the token.

import { api, forgetNames, token, whenUnauthorized } from './api.js';
import { askForToken } from './dialogs.js';
import { emptyState, h, setText } from './dom.js';
import { healthView } from './health.js';
import { sessionView } from './session.js';
import { sessionsView } from './sessions.js';
import { plural } from './words.js';

const HEALTH_EVERY = 5000;

const main = document.querySelector('#main');
const state = document.querySelector('#state');
const forget = document.querySelector('#token');

/** What ends the view that is shown: its timers and its streams. */
let leaving = new AbortController();
let isFirst = true;

function route() {
  const path = location.hash.replace(/^#/, '') || '/';
  const session = /^\/sessions\/([^/]+)$/.exec(path);
  if (path === '/') return { view: 'sessions', title: 'Sessions', show: sessionsView };
  if (path === '/health') return { view: 'health', title: 'Health', show: healthView };
  if (session) {
    const id = decodeURIComponent(session[1]);
    return { view: 'session', title: 'Session', show: (signal) => sessionView(id, signal) };
  }
  return { view: '', title: 'Not found', show: notFound };
}

function notFound() {
  return emptyState('There is no such page', 'The address may have been cut off.', h('a', { href: '#/' }, 'All sessions'));
}

function show() {
  leaving.abort();
  leaving = new AbortController();
  const { view, title, show: make } = route();
  document.title = `${title} · sessiond`;
  for (const link of document.querySelectorAll('nav a[data-view]')) {
    const isCurrent = link.dataset.view === view || (view === 'session' && link.dataset.view === 'sessions');
    if (isCurrent) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  main.replaceChildren(make(leaving.signal));
  if (isFirst) isFirst = false;
  else {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

async function refreshHealth() {
  if (document.hidden) return;
  try {
    const { status, activeSessions } = await api.health();
    tell(status, status === 'healthy' ? plural(activeSessions, 'active session') : status);
  } catch (error) {
    if (error.status === 401) tell('locked', 'A token is needed');
    else tell('unreachable', error.status ? error.message : 'Not connected');
  }
}

function tell(kind, text) {
  state.dataset.kind = kind;
  setText(state.querySelector('.state-text'), text);
  forget.hidden = !token.get();
}

function startAnew() {
  forgetNames();
  refreshHealth();
  show();
}

let isAsking = false;
/** Whether the question was put aside: it comes again with the next page, or a click. */
let isPutAside = false;

whenUnauthorized((refused, isWanted = false) => {
  // A call that was under way with an older token says nothing of the present one.
  if (isAsking || refused !== token.get() || (isPutAside && !isWanted)) return;
  token.forget();
  askAnew(refused ? 'The server does not accept this token.' : '');
});

async function askAnew(problem) {
  isAsking = true;
  const given = await askForToken(problem);
  isAsking = false;
  isPutAside = !given;
  if (!given) return;
  token.set(given);
  startAnew();
}

forget.addEventListener('click', () => {
  token.forget();
  isPutAside = false;
  startAnew();
});
// The address names the view, so that it cannot name a place in it too.
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener('hashchange', () => {
  isPutAside = false;
  show();
});
document.addEventListener('visibilitychange', refreshHealth);
setInterval(refreshHealth, HEALTH_EVERY);
refreshHealth();
show();
