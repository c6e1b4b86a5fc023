// Markdown in replies: what it shows, and that hostile text is harmless and cheap.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Agent, endAgents } from './agent.mjs';
import { Browser, Server, assertAccessible, endAll, picture } from './console.mjs';

const FENCE = '```';
const REPLY = `Underlined
==========

# A title
A *paragraph* with **strong**, ~~old~~ and \`inline <code>\` text,
and a second line.\\
After a hard break, snake_case_name and 2 * 3 * 4.

### Skipped a level

1. first
   - nested **item**
     - deeper
2. second

5) five

> quoted *text*
> goes on

| Name | Count |
| :--- | ----: |
| a \\| b | 1 |
| c | 2 |

---

${FENCE}js
const x = '<b>' // not *emphasis*
${FENCE}

[link](https://example.org/a_(b) "title"), https://example.org/bare., <mailto:a@example.org> and ![a picture](https://example.org/p.png)
`;

let server;
let agent;
let browser;

before(async () => {
  agent = await Agent.start();
  server = await Server.start({}, [agent.file]);
  browser = await Browser.start();
});
after(async () => {
  await endAll();
  endAgents();
});

async function reply(text) {
  agent.answer = (turn) => turn.done(text);
  const { sessionId } = await server.create({ agentId: await agent.id(server) });
  await server.say(sessionId, 'Go on.');
  const page = await browser.page(`${server.url}/#/sessions/${sessionId}`);
  const words = page.locator('.message.agent .words');
  await words.waitFor();
  return { page, words };
}

test('a reply is shown as Markdown', async () => {
  const { page, words } = await reply(REPLY);
  const texts = (selector) => words.locator(selector).allTextContents();
  assert.deepEqual(await texts('[role="heading"]'), ['Underlined', 'A title', 'Skipped a level']);
  const levels = await words.getByRole('heading').evaluateAll((found) => found.map((it) => it.ariaLevel ?? it.getAttribute('aria-level')));
  assert.deepEqual(levels, ['3', '3', '4'], 'below the headings of the view, without a gap');
  assert.deepEqual(await texts('em'), ['paragraph', 'text']);
  assert.deepEqual(await texts('strong'), ['strong', 'item']);
  assert.deepEqual(await texts('del'), ['old']);
  assert.deepEqual(await texts('p > code'), ['inline <code>']);
  assert.equal((await words.locator('p').nth(2).innerText()).split('\n').length, 3, 'lines stay apart');
  assert.deepEqual(await texts('ol > li > ul > li > ul > li'), ['deeper']);
  assert.equal(await words.locator('ol').nth(1).getAttribute('start'), '5');
  assert.match((await texts('blockquote'))[0], /quoted text\s+goes on/);
  assert.deepEqual(await texts('th'), ['Name', 'Count']);
  assert.deepEqual(await texts('td'), ['a | b', '1', 'c', '2']);
  assert.equal(await words.locator('hr').count(), 1);
  assert.equal(await words.locator('pre').textContent(), "const x = '<b>' // not *emphasis*");
  const links = await words.locator('a').evaluateAll((found) => found.map((it) => [it.href, it.target, it.rel, it.textContent]));
  assert.deepEqual(links, [
    ['https://example.org/a_(b)', '_blank', 'noopener noreferrer', 'link'],
    ['https://example.org/bare', '_blank', 'noopener noreferrer', 'https://example.org/bare'],
    ['mailto:a@example.org', '_blank', 'noopener noreferrer', 'a@example.org'],
    ['https://example.org/p.png', '_blank', 'noopener noreferrer', 'a picture'],
  ]);
  await assertAccessible(page, 'Markdown');
  await picture(page, 'markdown');

  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await words.getByRole('button', { name: 'Copy', exact: true }).click();
  const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
  assert.equal(await clipboard(), "const x = '<b>' // not *emphasis*");
  const message = page.locator('.message.agent');
  await message.locator('.tools').getByRole('button', { name: 'Copy', exact: true }).first().click();
  assert.equal(await clipboard(), REPLY, 'the message is copied as the agent wrote it');
  const raw = message.getByRole('button', { name: 'Raw', exact: true });
  await raw.click();
  assert.equal(await raw.getAttribute('aria-pressed'), 'true');
  assert.equal(await words.textContent(), REPLY);
  await raw.click();
  assert.equal(await words.locator('table').count(), 1);
  browser.assertNoComplaints();
  await page.close();
});

test('underlined headings, and tables without outer bars', async () => {
  const { page, words } = await reply([
    'A **title**\n===', 'of two\nlines\n---', 'Name | Count\n:-- | --:\na \\| b | 1\nc | 2', 'not | a\ntable | at all', 'Text\n\n---\n\n- item\n---',
  ].join('\n\n'));
  const texts = (selector) => words.locator(selector).allTextContents();
  assert.deepEqual(await texts('[role="heading"]'), ['A title', 'of two\nlines']);
  const levels = await words.getByRole('heading').evaluateAll((found) => found.map((it) => it.getAttribute('aria-level')));
  assert.deepEqual(levels, ['3', '4']);
  assert.deepEqual(await texts('th'), ['Name', 'Count']);
  assert.deepEqual(await texts('td'), ['a | b', '1', 'c', '2']);
  assert.deepEqual(await texts(':scope > p:not(.heading)'), ['not | a\ntable | at all', 'Text']);
  assert.equal(await words.locator('hr').count(), 2, 'lines of their own');
  await assertAccessible(page, 'more of Markdown');
  browser.assertNoComplaints();
  await page.close();
});

test('the text of a user is not Markdown', async () => {
  agent.answer = (turn) => turn.done('Yes.');
  const { sessionId } = await server.create({ agentId: await agent.id(server) });
  await server.say(sessionId, '# no **heading**\n  two lines');
  const page = await browser.page(`${server.url}/#/sessions/${sessionId}`);
  assert.equal(await page.locator('.message.user .words').textContent(), '# no **heading**\n  two lines');
  assert.equal(await page.locator('.message.user .words *').count(), 0);
  await page.close();
});

test('HTML and dangerous links in Markdown stay text', async () => {
  const hostile = [
    '<img src=x onerror="window.hacked=1"> <script>window.hacked=1</script> <a href="javascript:window.hacked=1">x</a>',
    '[a](javascript:window.hacked=1) [b](JaVaScRiPt:window.hacked=1) [c](java\tscript:window.hacked=1) [d](data:text/html,x)',
    '[e](vbscript:x) [f](//evil.example) [g](/api) ![h](javascript:x) <javascript:window.hacked=1> [i](blob:x)',
    '| <b>x</b> |\n| --- |\n| <img src=x onerror=window.hacked=1> |',
    '```"><img src=x onerror=window.hacked=1>\n</code></pre><img src=x>\n```',
    '\u202egnp.exe [\u202etxt](https://example.org)',
  ].join('\n\n');
  const { page, words } = await reply(hostile);
  assert.deepEqual(await words.locator('a').evaluateAll((found) => found.map(({ href }) => href)), ['https://example.org/']);
  assert.equal(await words.locator('img, script, b, iframe, [onerror]').count(), 0);
  assert.match(await words.textContent(), /<img src=x onerror="window\.hacked=1">/);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  browser.assertNoComplaints();
  await page.close();
});

test('hostile text costs little time and few elements', async () => {
  const page = await browser.page(server.url);
  const results = await page.evaluate(async () => {
    const { Markdown } = await import('/console/markdown.js');
    const lines = (count, line) => Array.from({ length: count }, (_, index) => line(index)).join('\n');
    const texts = {
      nested: lines(1300, (index) => `${' '.repeat(index % 600)}- x`),
      markers: '- '.repeat(500_000),
      quotes: '>'.repeat(199_000),
      brackets: '['.repeat(199_000),
      pairs: '[]('.repeat(66_000),
      closing: `${'['.repeat(99_000)}${']'.repeat(99_000)}`,
      images: '![](x'.repeat(39_000),
      ticks: lines(600, (index) => '`'.repeat(index)),
      stars: '*a '.repeat(66_000),
      starred: `${'*'.repeat(99_000)}a${'*'.repeat(99_000)}`,
      mixed: '*a_b**c__d~~'.repeat(16_000),
      cells: `${'|a'.repeat(50)}\n${'|-'.repeat(50)}\n${lines(1800, () => '|b'.repeat(50))}`,
      wide: `${'|a'.repeat(60_000)}\n${'|-'.repeat(39_000)}`,
      rules: '* '.repeat(99_000) + 'x',
      urls: 'https://a.b/'.repeat(16_000),
      parens: `https://a.b/${'('.repeat(99_000)}${')'.repeat(99_000)}`,
      escapes: '\\'.repeat(199_000),
      headings: lines(40_000, () => '# a'),
      spaces: `# ${' '.repeat(190_000)}x`,
      underline: lines(60_000, () => '=-'),
      underlined: lines(99_000, (index) => (index % 2 ? '=' : 'a')),
      bars: lines(49_000, (index) => (index % 2 ? '-|' : 'a')),
      dashes: `a\n${'-'.repeat(199_000)}x`,
      long: lines(80_000, (index) => `${'  '.repeat(index % 9)}- nested item`),
    };
    return Object.entries(texts).map(([name, text]) => {
      const element = document.createElement('div');
      const start = performance.now();
      new Markdown(element).show(text);
      return { name, length: text.length, ms: Math.round(performance.now() - start), elements: element.querySelectorAll('*').length };
    });
  });
  if (process.env.SHOW) console.error(results);
  for (const { name, ms, elements } of results) {
    assert.ok(ms < 3000, `${name} takes ${ms} ms`);
    assert.ok(elements <= 20_000, `${name} has ${elements} elements`);
  }
  assert.ok(results.some(({ length }) => length >= 1_000_000));
  await page.close();
});

test('a growing text keeps the blocks before its end, and ends as if it came at once', async () => {
  const page = await browser.page(server.url);
  const [isSame, isKept] = await page.evaluate(async (text) => {
    const { Markdown } = await import('/console/markdown.js');
    const [grown, whole] = [document.createElement('div'), document.createElement('div')];
    const markdown = new Markdown(grown);
    let first;
    let isKept = true;
    for (let end = 1; end <= text.length; end += 1) {
      markdown.show(text.slice(0, end));
      if (end === 200) first = grown.firstChild;
      if (end > 200) isKept &&= grown.firstChild === first;
    }
    new Markdown(whole).show(text);
    return [grown.isEqualNode(whole), isKept];
  }, REPLY);
  assert.ok(isSame);
  assert.ok(isKept);
  await page.close();
});
