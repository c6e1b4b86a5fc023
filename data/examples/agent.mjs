// An agent that runs elsewhere: it reads its turns from sessiond and submits a reply to each.
//
//     SESSIOND_AGENT=<the agent's id> [SESSIOND_URL=...] [SESSIOND_TOKEN=...] node agent.mjs
//
// The agent's character file has `"backend": {"type": "external"}`. Node 18 or later, no packages.
const { SESSIOND_AGENT: agent, SESSIOND_TOKEN: token } = process.env;
const url = process.env.SESSIOND_URL ?? 'http://127.0.0.1:3000';
if (!agent) {
  console.error('SESSIOND_AGENT must be the id of the agent, which `sessiond agents new NAME --backend external` prints');
  process.exit(2);
}
const headers = { 'Content-Type': 'application/json', ...(token && { 'X-API-KEY': token }) };

// Your code goes here. Returns what `submit` takes beside the turn. If it throws, the user reads FAILED.
async function answer({ content }) {
  if (content === 'decline') return { error: { message: 'I do not discuss this.' } };
  return { content: `You said: ${content}` };
}

const FAILED = { error: { message: 'The agent has failed.' } };

// Answers a turn. One that cannot be answered is closed too, or else it would be the first after each reconnect.
async function handle(turn) {
  let reply = FAILED;
  try {
    reply = await answer(turn.message);
  } catch (error) {
    console.error(`turn ${turn.turnId}:`, error);
  }
  await submit(turn, reply);
}

// Yields the name and the data of each event until the stream ends.
async function* events() {
  const silence = new AbortController(); // A comment arrives every 15 seconds.
  const timer = setTimeout(() => silence.abort(), 45_000);
  try {
    const path = `/api/agents/${agent}/events`;
    const { ok, status, body } = await fetch(url + path, { headers, signal: silence.signal });
    if (!ok) throw new Error(`the stream is ${status}`);
    let rest = '';
    for await (const text of body.pipeThrough(new TextDecoderStream())) {
      timer.refresh();
      const blocks = (rest + text).split('\n\n');
      rest = blocks.pop();
      for (const block of blocks) {
        const fields = block.split('\n').map((line) => line.split(/: ?(.*)/s, 2));
        const { event, data } = Object.fromEntries(fields);
        if (data) yield [event, JSON.parse(data)];
      }
    }
  } finally {
    clearTimeout(timer);
  }
}

// Submits a reply. The turn's id is the key, so a retry stores nothing twice.
async function submit({ sessionId, turnId }, reply) {
  const response = await fetch(`${url}/api/messaging/submit`, {
    method: 'POST',
    headers: { ...headers, 'Idempotency-Key': turnId },
    body: JSON.stringify({ channel_id: sessionId, author_id: agent, turnId, ...reply }),
  });
  if ([400, 413].includes(response.status) && reply !== FAILED) {
    console.error(`turn ${turnId}: the reply is invalid: ${await response.text()}`);
    return submit({ sessionId, turnId }, FAILED);
  }
  // 404, 409 and 410: the turn is closed, since another worker was faster or the session is gone.
  if (!response.ok && ![404, 409, 410].includes(response.status)) throw new Error(`the submission is ${response.status}`);
}

// Answers each turn. A reconnect begins with the turns that are still open.
for (;; await new Promise((resolve) => setTimeout(resolve, 1000))) {
  try {
    for await (const [name, turn] of events()) {
      if (name === 'turn') await handle(turn);
    }
  } catch (error) {
    console.error(`reconnecting: ${error.message}`);
  }
}
