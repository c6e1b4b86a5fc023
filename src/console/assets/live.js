// The events of a session. The stream is read with fetch, which can send headers, and resumed after it
// was interrupted: no event is missed or repeated.

import { api } from './api.js';

const FIRST_PAUSE = 300;
const LONGEST_PAUSE = 5000;

/** The server sends a comment every 15 s; without one, the connection is considered dead. */
const SILENCE = 40_000;

/**
 * Subscribes to a session. `on` has `event(name, data)`, `state('live' | 'lost')` and `end(error?)`, which
 * is called last. Returns a function that unsubscribes.
 */
export function subscribe(id, after, on) {
  const stopping = new AbortController();
  run(id, after, on, stopping.signal);
  return () => stopping.abort();
}

async function run(id, after, on, stopped) {
  let last = after;
  let pause = FIRST_PAUSE;
  while (!stopped.aborted) {
    const attempt = new AbortController();
    const abort = () => attempt.abort();
    stopped.addEventListener('abort', abort, { once: true });
    try {
      const response = await api.events(id, last, attempt.signal);
      on.state('live');
      pause = FIRST_PAUSE;
      for await (const event of read(response.body, abort)) {
        if (stopped.aborted) return;
        if (event.id !== undefined) last = event.id;
        on.event(event.name, event.data);
        if (event.name === 'channelDeleted') return on.end();
      }
    } catch (error) {
      if (stopped.aborted) return;
      if ([401, 403, 404, 410].includes(error.status)) return on.end(error);
    } finally {
      stopped.removeEventListener('abort', abort);
    }
    if (stopped.aborted) return;
    on.state('lost');
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

/** Yields the events of a stream's body. */
async function* read(body, abort) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const silence = setTimeout(abort, SILENCE);
    const { done, value } = await reader.read().finally(() => clearTimeout(silence));
    if (done) return;
    text += value;
    let end;
    while ((end = text.indexOf('\n\n')) >= 0) {
      const event = parse(text.slice(0, end));
      text = text.slice(end + 2);
      if (event) yield event;
    }
  }
}

function parse(block) {
  const event = { name: 'message', id: undefined };
  const data = [];
  for (const line of block.split('\n')) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (field === 'event') event.name = value;
    else if (field === 'id') event.id = value;
    else if (field === 'data') data.push(value);
  }
  if (!data.length) return undefined;
  event.data = JSON.parse(data.join('\n'));
  return event;
}
