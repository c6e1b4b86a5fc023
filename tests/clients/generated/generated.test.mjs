// TypeScript clients that are generated from the running server's OpenAPI document: without a
// warning, and they compile, send a message and read its reply. SESSIOND_URL names the server.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { before, test } from 'node:test';

const URL = process.env.SESSIOND_URL;

const ENVIRONMENT = {
  SESSIOND_AGENT: 'b850bc30-45f8-0041-a00a-83df46d8555d',
  SESSIOND_USER: '3c90c3cc-0d44-4b50-8888-8dd25736052a',
  NO_COLOR: '1',
  REDOCLY_TELEMETRY: 'off',
  REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true',
};

/** Runs a node program to its end and returns its whole output. */
async function run(program, ...args) {
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...process.env, ...ENVIRONMENT },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const written = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (text) => { written[name] += text; });
  }
  const code = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
  assert.equal(code, 0, `${program} failed:\n${written.stdout}${written.stderr}`);
  return written;
}

function assertNoWarning({ stdout, stderr }) {
  assert.doesNotMatch(stdout + stderr, /warn|error|⚠|unsupported|deprecated/i);
}

function assertTalked({ reply, history }, messages) {
  assert.match(reply, /\S/);
  assert.equal(history.length, messages);
  const oldest = history.slice(-2);
  assert.deepEqual(oldest, [{ content: reply, isAgent: true }, { content: 'Hello.', isAgent: false }]);
}

before(async () => {
  const answer = await fetch(`${URL}/openapi.json`);
  await writeFile('openapi.json', await answer.text());
});

test('redocly finds no problem in the OpenAPI document', async () => {
  const { stdout } = await run('node_modules/@redocly/cli/bin/cli.js', 'lint', 'openapi.json', '--format=json');
  const { totals, problems } = JSON.parse(stdout);
  assert.deepEqual({ ...totals, problems }, { errors: 0, warnings: 0, ignored: 0, problems: [] });
});

test('generated TypeScript clients work', async (t) => {
  await t.test('@hey-api/openapi-ts generates without a warning', async () => {
    assertNoWarning(await run('node_modules/@hey-api/openapi-ts/bin/run.js', '--input', 'openapi.json', '--output', 'hey'));
  });
  await t.test('openapi-typescript generates without a warning', async () => {
    assertNoWarning(await run('node_modules/openapi-typescript/bin/cli.js', 'openapi.json', '--output', 'typed.d.ts'));
  });
  await t.test('the generated code compiles', async () => {
    await run('node_modules/typescript/bin/tsc', '--project', 'tsconfig.json');
  });
  await t.test('the client of @hey-api/openapi-ts sends, streams and reads', async () => {
    const { stdout } = await run('compiled/hey-api.js');
    const talk = JSON.parse(stdout);
    assertTalked(talk, 4);
    assert.equal(talk.events[0], 'user_message');
    assert.ok(talk.events.includes('chunk'));
    assert.equal(talk.events.at(-1), 'done');
  });
  await t.test('openapi-fetch with the types of openapi-typescript sends and reads', async () => {
    const { stdout } = await run('compiled/openapi-fetch.js');
    assertTalked(JSON.parse(stdout), 2);
  });
});
