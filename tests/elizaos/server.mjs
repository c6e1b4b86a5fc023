// The real ElizaOS server with one agent, whose model is a few rules: its answers depend only on
// the messages that ElizaOS shows it.
//
//   bun server.mjs DATA_DIR PORT
//
// ElizaOS needs the time between "listening" and "ready" to start its agent. COUNT_FILE gets a line
// each time that the action COUNT runs.

import { appendFileSync } from 'node:fs';
import { ModelType } from '@elizaos/core';
import { AgentServer } from '@elizaos/server';

const [dataDir, port] = process.argv.slice(2);

const xml = ({ thought = 'A rule fits.', actions = 'REPLY', text }) =>
  `<response><thought>${thought}</thought><actions>${actions}</actions><text>${text}</text></response>`;

// Returns the answer to the last of these texts. The agent's own begin with "Rules: ".
function answer(texts) {
  const last = texts.at(-1);
  const asked = last.split('[The user now says]\n').at(-1);
  const find = (pattern) => texts.join('\n').match(pattern)?.[1];
  if (asked.includes('What is my name?')) {
    const name = find(/My name is (\w+)/);
    return xml({ text: name ? `Your name is ${name}.` : 'I do not know.' });
  }
  if (asked.includes('What did you say?')) {
    const said = find(/You: (.*)\n*\[The user now says\]/) ?? 'nothing';
    return xml({ text: `I said: ${said}` });
  }
  if (asked.includes('No actions.')) {
    return xml({ actions: 'NONE', text: 'Done without actions.' });
  }
  if (asked.includes('Count.')) {
    return xml({ actions: 'COUNT', text: '' });
  }
  if (asked.includes('Look it up.')) {
    return xml({ actions: 'LOOK_UP', text: 'One moment.' });
  }
  return xml({ text: `You said ${asked.length} characters.` });
}

const action = (name, handler) => ({
  name,
  description: name,
  examples: [],
  validate: async () => true,
  handler,
});

const rules = {
  name: 'rules',
  description: 'An agent without a model.',
  // An agent's memory, as ElizaOS's own provider of this name shows it.
  providers: [
    {
      name: 'RECENT_MESSAGES',
      get: async (runtime, message) => {
        const { roomId } = message;
        const memories = await runtime.getMemories({ roomId, count: 100, tableName: 'messages' });
        memories.sort((a, b) => a.createdAt - b.createdAt);
        const texts = memories.map((memory) => memory.content.text ?? '').filter(Boolean);
        const text = Buffer.from(JSON.stringify(texts)).toString('base64');
        return { text, values: { recentMessages: text }, data: {} };
      },
    },
  ],
  actions: [
    action('COUNT', async (_runtime, _message, _state, _options, callback) => {
      appendFileSync(process.env.COUNT_FILE, 'counted\n');
      await callback({ thought: 'It is counted.', actions: ['COUNT'] });
      return { success: true };
    }),
    action('LOOK_UP', async (_runtime, _message, _state, _options, callback) => {
      await callback({ text: 'It is 42.', actions: ['LOOK_UP'] });
      return { success: true };
    }),
  ],
  models: {
    [ModelType.TEXT_LARGE]: async (_runtime, { prompt }) =>
      answer(JSON.parse(Buffer.from(prompt.trim(), 'base64').toString())),
    [ModelType.TEXT_SMALL]: async () => '<response><action>RESPOND</action></response>',
    [ModelType.TEXT_EMBEDDING]: async () => Array(384).fill(0),
  },
};

const character = {
  name: 'Rules',
  bio: ['Answers by rules.'],
  system: 'Follow the rules.',
  templates: { messageHandlerTemplate: '{{recentMessages}}' },
  settings: {},
  plugins: [],
};

const server = new AgentServer();
await server.initialize({ dataDir });
await server.start({ port: Number(port), agents: [{ character, plugins: [rules] }] });
console.log(`ready: ${character.id}`);
