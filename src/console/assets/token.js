// The token: for the open tabs of this browser, or on request for this device. Never part of a URL.

const TOKEN = 'sessiond.token';
const REMEMBERED = 'sessiond.remembered';
const LONGEST = 30 * 86_400_000;

/** How long other tabs may take to answer. */
const PATIENCE = 300;

/** Other programs can serve pages from the same port later, and would find what is stored there. */
const LOOPBACK = /^(([^.]+\.)*localhost\.?|127(\.\d+){3}|0\.0\.0\.0|\[::1?\]|\[::ffff:7f[\da-f]*:[\da-f]+\])$/i;

const tabs = new BroadcastChannel('sessiond');
const listeners = new Set();
let asking;
let answered;

export const token = {
  canRemember: !LOOPBACK.test(location.hostname),

  get: () => sessionStorage.getItem(TOKEN) ?? '',

  set(value, isRemembered = false) {
    sessionStorage.setItem(TOKEN, value);
    if (isRemembered && token.canRemember) localStorage.setItem(REMEMBERED, JSON.stringify({ token: value, until: Date.now() + LONGEST }));
    tabs.postMessage({ given: value });
    tell();
  },

  /** Signs out, in all tabs. */
  forget() {
    tabs.postMessage({ gone: '' });
    drop(true);
  },

  /** The server has refused this token, which is then forgotten everywhere. */
  refuse(value) {
    if (!value) return;
    tabs.postMessage({ gone: value });
    if (remembered() === value) localStorage.removeItem(REMEMBERED);
    if (token.get() === value) drop();
  },

  /** Asks the other tabs unless there is a token. Resolves to the token, or to '' if none has one. */
  async ask() {
    if (token.get()) return token.get();
    asking ??= new Promise((resolve) => {
      answered = resolve;
      setTimeout(resolve, PATIENCE);
      tabs.postMessage({ ask: true });
    }).then(() => {
      asking = undefined;
      return token.get();
    });
    return asking;
  },

  /** Calls a function after each change, with whether someone has signed out. */
  whenChanged: (listener) => listeners.add(listener),
};

function tell(isSignedOut = false) {
  for (const listener of listeners) listener(isSignedOut);
}

function drop(isSignedOut) {
  localStorage.removeItem(REMEMBERED);
  sessionStorage.removeItem(TOKEN);
  tell(isSignedOut);
}

/** The token that this device remembers, unless its time is over. */
function remembered() {
  try {
    const { token: value, until } = JSON.parse(localStorage.getItem(REMEMBERED)) ?? {};
    if (token.canRemember && typeof value === 'string' && until > Date.now() && until <= Date.now() + LONGEST) return value;
  } catch {
    // It is removed below.
  }
  localStorage.removeItem(REMEMBERED);
  return '';
}

tabs.addEventListener('message', ({ data: { ask, given, gone } }) => {
  if (ask && token.get()) tabs.postMessage({ given: token.get() });
  if (given && !token.get()) {
    sessionStorage.setItem(TOKEN, given);
    answered?.();
    tell();
  }
  if (gone !== undefined && token.get() && (gone === '' || gone === token.get())) drop(gone === '');
});

if (!token.get()) {
  const value = remembered();
  if (value) sessionStorage.setItem(TOKEN, value);
  else token.ask();
}
