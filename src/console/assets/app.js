// The console: routing, the server's state in the header, and signing in.

import { agentsView } from './agents.js';
import { forgetNames, token, whenUnauthorized } from './api.js';
import { h, setText } from './dom.js';
import { healthView } from './health.js';
import { identity } from './identity.js';
import { serverView } from './server.js';
import { sessionView } from './session.js';
import { sessionsView } from './sessions.js';
import { signIn } from './signin.js';
import { status } from './status.js';

const main = document.querySelector('#main');
const state = document.querySelector('#state');
const out = document.querySelector('#sign-out');

/** Ends the current view, with its timers and streams. */
let leaving = new AbortController();
let isFirst = true;

/** The view of the URL's fragment, `#/path?parameters`, and the parameters. */
function route() {
  const [, path, query] = /^#?([^?]*)\??(.*)$/.exec(location.hash);
  const parameters = new URLSearchParams(query);
  const session = /^\/sessions\/([^/]+)$/.exec(path);
  if (path === '/' || path === '') return { view: 'sessions', title: 'Sessions', show: (signal) => sessionsView(signal, parameters) };
  if (path === '/agents') return { view: 'agents', title: 'Agents', show: agentsView };
  if (path === '/health') return { view: 'health', title: 'Health', show: healthView };
  if (path === '/server') return { view: 'server', title: 'Server', show: serverView };
  if (session) return { view: 'session', title: 'Session', show: (signal) => sessionView(decoded(session[1]), signal, parameters) };
  return { view: '', title: 'Page not found', show: notFound };
}

/** The text of a part of the URL, which people may have cut anywhere. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function notFound() {
  return h('section', { class: 'empty' }, h('h1', {}, 'Page not found'), h('p', {}, 'The link may be incomplete.'), h('a', { href: '#/' }, 'All sessions'));
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
  // Screen readers announce the new view with the focus.
  main.setAttribute('aria-label', title);
  main.replaceChildren(make(leaving.signal));
  if (isFirst) isFirst = false;
  else {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

status.subscribe(({ kind, brief }) => {
  state.dataset.kind = kind;
  setText(state.querySelector('.state-text'), brief);
  document.querySelector('#offline').hidden = kind !== 'unreachable';
});

/** Shows what the current identity may see. */
async function showIdentity() {
  out.hidden = !token.get();
  let isAdmin = true;
  try {
    ({ isAdmin } = await identity());
  } catch {
    // Nothing is known; the views say what is missing.
  }
  // Another tab may have given the token meanwhile.
  out.hidden = !token.get();
  for (const link of document.querySelectorAll('nav a[data-admin]')) link.hidden = !isAdmin;
}

function restart() {
  forgetNames();
  showIdentity();
  status.refresh();
  show();
}

/** Closes the open prompt for the token. */
let prompting;
/** Whether the prompt was dismissed. It returns with the next view, or on request. */
let isDismissed = false;

whenUnauthorized((refused, isRequested = false) => {
  // A call that was sent with an older token says nothing about the current one.
  if (prompting || token.get() || (isDismissed && !isRequested)) return;
  prompt(refused ? 'The server rejected this token.' : '');
});

async function prompt(problem) {
  const attempt = (prompting = new AbortController());
  const isSignedIn = await signIn(problem, attempt.signal);
  prompting = undefined;
  isDismissed = !isSignedIn && !token.get();
}

token.whenChanged(() => {
  // Another tab has signed in.
  if (token.get()) prompting?.abort();
  isDismissed = false;
  restart();
});
out.addEventListener('click', () => token.forget());
// The fragment of the URL is the route, so this link cannot use it.
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener('hashchange', () => {
  isDismissed = false;
  show();
});
showIdentity();
status.start();
show();
