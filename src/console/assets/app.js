// The console: routing, the server's health, and the token.

import { api, forgetNames, token, whenUnauthorized } from './api.js';
import { askForToken } from './dialogs.js';
import { emptyState, h, setText } from './dom.js';
import { healthView } from './health.js';
import { sessionView } from './session.js';
import { sessionsView } from './sessions.js';
import { plural } from './format.js';

const HEALTH_INTERVAL = 5000;

const main = document.querySelector('#main');
const state = document.querySelector('#state');
const forget = document.querySelector('#token');

/** Ends the current view, with its timers and streams. */
let leaving = new AbortController();
let isFirst = true;

/** The view of the URL's fragment, `#/path?parameters`, and the parameters. */
function route() {
  const [, path, query] = /^#?([^?]*)\??(.*)$/.exec(location.hash);
  const parameters = new URLSearchParams(query);
  const session = /^\/sessions\/([^/]+)$/.exec(path);
  if (path === '/' || path === '') return { view: 'sessions', title: 'Sessions', show: (signal) => sessionsView(signal, parameters) };
  if (path === '/health') return { view: 'health', title: 'Health', show: healthView };
  if (session) {
    const id = decodeURIComponent(session[1]);
    return { view: 'session', title: 'Session', show: (signal) => sessionView(id, signal, parameters) };
  }
  return { view: '', title: 'Not found', show: notFound };
}

function notFound() {
  return emptyState('Page not found', 'The link may be incomplete.', h('a', { href: '#/' }, 'All sessions'));
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
    setState(status, status === 'healthy' ? plural(activeSessions, 'active session') : status);
  } catch (error) {
    if (error.status === 401) setState('locked', 'Token required');
    else setState('unreachable', error.status ? error.message : 'Not connected');
  }
}

function setState(kind, text) {
  state.dataset.kind = kind;
  setText(state.querySelector('.state-text'), text);
  forget.hidden = !token.get();
}

function restart() {
  forgetNames();
  refreshHealth();
  show();
}

let isPrompting = false;
/** Whether the prompt was dismissed. It returns with the next view, or on request. */
let isDismissed = false;

whenUnauthorized((refused, isRequested = false) => {
  // A call that was sent with an older token says nothing about the current one.
  if (isPrompting || refused !== token.get() || (isDismissed && !isRequested)) return;
  token.forget();
  promptForToken(refused ? 'The server rejected this token.' : '');
});

async function promptForToken(problem) {
  isPrompting = true;
  const given = await askForToken(problem);
  isPrompting = false;
  isDismissed = !given;
  if (!given) return;
  token.set(given);
  restart();
}

forget.addEventListener('click', () => {
  token.forget();
  isDismissed = false;
  restart();
});
// The fragment of the URL is the route, so this link cannot use it.
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener('hashchange', () => {
  isDismissed = false;
  show();
});
document.addEventListener('visibilitychange', refreshHealth);
setInterval(refreshHealth, HEALTH_INTERVAL);
refreshHealth();
show();
