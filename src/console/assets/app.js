// The console: routing, the server's state in the header, and signing in.

import { agentsView } from './agents.js';
import { forgetNames, token, whenUnauthorized } from './api.js';
import { forgetDrafts } from './composer.js';
import { emptyState, h, setText } from './dom.js';
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

const VIEWS = {
  '': ['Sessions', sessionsView], agents: ['Agents', agentsView], health: ['Health', healthView], server: ['Server', serverView],
};

/** The title and the element of the URL's fragment, `#/path?parameters`, and its link in the navigation. */
function route(signal) {
  const [, path, query] = /^#?\/?([^?]*)\??(.*)$/.exec(location.hash);
  const parameters = new URLSearchParams(query);
  const [, session] = /^sessions\/([^/]+)$/.exec(path) ?? [];
  if (session) return ['Session', sessionView(session, signal, parameters), '#/'];
  if (!Object.hasOwn(VIEWS, path)) return ['Page not found', emptyState('Page not found', 'The link may be incomplete.', h('a', { href: '#/' }, 'All sessions'))];
  const [title, view] = VIEWS[path];
  return [title, view(signal, parameters), `#/${path}`];
}

function show() {
  leaving.abort();
  leaving = new AbortController();
  const [title, view, current] = route(leaving.signal);
  document.title = `${title} · sessiond`;
  for (const link of document.querySelectorAll('nav[aria-label="Views"] a')) {
    link.setAttribute('aria-current', link.getAttribute('href') === current ? 'page' : 'false');
  }
  // Screen readers announce the new view with the focus.
  main.setAttribute('aria-label', title);
  main.replaceChildren(view);
  if (!isFirst) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  isFirst = false;
}

status.subscribe(({ kind, brief }) => {
  state.dataset.kind = kind;
  setText(state.querySelector('.state-text'), brief);
  document.querySelector('#offline').hidden = kind !== 'unreachable';
});

/** Shows what the current identity may see. */
async function showIdentity() {
  out.hidden = !token.get();
  // If nothing is known, the views say what is missing.
  const { isAdmin } = await identity().catch(() => ({ isAdmin: true }));
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

token.whenChanged((isSignedOut) => {
  // Another tab has signed in.
  if (token.get()) prompting?.abort();
  isDismissed = false;
  restart();
  // After the view that was left has saved its own.
  if (isSignedOut) forgetDrafts();
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
