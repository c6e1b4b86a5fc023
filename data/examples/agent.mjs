// An agent that runs elsewhere: it reads its turns from sessiond and submits a reply to each.
//
//     SESSIOND_AGENT=<the agent's id> [SESSIOND_URL=...] [SESSIOND_TOKEN=...] node agent.mjs
//
// The agent's character file has `"backend": {"type": "external"}`. Node 18 or later, no packages.

const { SESSIOND_AGENT: agent, SESSIOND_TOKEN: token } = process.env;
const url = process.env.SESSIOND_URL ?? 'http://127.0.0.1:3000';
const headers = { 'Content-Type': 'application/json', ...(token && { 'X-API-KEY': token }) };

// Your code goes here. Returns what `submit` takes beside the turn.
async function answer(turn) {
  const { content } = turn.message;
  if (content === 'decline') return { error: { message: 'I do not discuss this.' } };
  return { content: `You said: ${content}` };
}

// Yields the name and the data of each event until the stream ends.
async function* events() {
  const silence = new AbortController();
  const options = { headers, signal: silence.signal };
  const response = await fetch(`${url}/api/agents/${agent}/events`, options);
  if (!response.ok) throw new Error(`the stream is ${response.status}`);
  const decoder = new TextDecoder();
  let text = '';
  // A comment arrives every 15 seconds, so a longer silence is a broken connection.
  const timer = setTimeout(() => silence.abort(), 45_000);
  try {
    for await (const bytes of response.body) {
      timer.refresh();
      text += decoder.decode(bytes, { stream: true });
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const lines = text.slice(0, end).split('\n');
        text = text.slice(end + 2);
        const event = Object.fromEntries(lines.map((line) => line.split(/: ?(.*)/s, 2)));
        if (event.data) yield [event.event, JSON.parse(event.data)];
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
  // 404, 409 and 410: the turn is closed, since another worker was faster or the session is gone.
  if (!response.ok && ![404, 409, 410].includes(response.status)) {
    throw new Error(`the submission is ${response.status}`);
  }
}

// Answers each turn. A reconnect begins with the turns that are still open.
for (;;) {
  try {
    for await (const [name, turn] of events()) {
      if (name === 'turn') await submit(turn, await answer(turn));
    }
  } catch (error) {
    console.error(`reconnecting: ${error.message}`);
  }
  await new Promise((resolve) => setTimeout(resolve, 1000));
}
