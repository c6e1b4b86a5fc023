// The events of a session. The stream is read with fetch, which can send headers, and resumed after it
// was interrupted: no event is missed or repeated.

import { api } from './api.js';

const FIRST_PAUSE = 300;
const LONGEST_PAUSE = 5000;

/** The server sends a comment every 15 s; without one, the connection is considered dead. */
const SILENCE = 40_000;

/**
 * Subscribes to a session until `signal` is aborted. `on` has `event(name, data)`, `state('live' | 'lost')`
 * and `end(error)`, after which nothing follows.
 */
export async function subscribe(id, after, on, signal) {
  let last = after;
  let pause = FIRST_PAUSE;
  while (!signal.aborted) {
    const silent = new AbortController();
    try {
      const response = await api.events(id, last, AbortSignal.any([signal, silent.signal]));
      on.state('live');
      pause = FIRST_PAUSE;
      for await (const event of read(response.body, silent)) {
        if (signal.aborted) return;
        last = event.id ?? last;
        on.event(event.name, event.data);
        if (event.name === 'channelDeleted') return;
      }
    } catch (error) {
      if ([401, 403, 404, 410].includes(error.status)) return on.end(error);
    }
    if (signal.aborted) return;
    on.state('lost');
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

/** Yields the events of a stream's body. */
async function* read(body, silent) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const silence = setTimeout(() => silent.abort(), SILENCE);
    const { done, value } = await reader.read().finally(() => clearTimeout(silence));
    if (done) return;
    const blocks = (text + value).split('\n\n');
    text = blocks.pop();
    yield* blocks.map(parse).filter(({ data }) => data);
  }
}

/** An event, whose data the server writes on one line. */
function parse(block) {
  const { event: name, id, data } = Object.fromEntries(block.split('\n').map((line) => line.split(/: ?(.*)/s)));
  return { name, id, data: data && JSON.parse(data) };
}
