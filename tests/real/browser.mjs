// A Chromium that runs steps. Reads a JSON line for each: {step, ...}, a function body with `page` and `axe` in scope, or
// {viewport}, a new window. Answers each with a JSON line: {value} or {error}, and what the console has said since.
import { createInterface } from 'node:readline';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'];
const browser = await chromium.launch({ executablePath: process.argv[2], args: flags });
let page, said = [];
const open = async (viewport) => {
  const permissions = ['clipboard-read', 'clipboard-write'];
  const isPhone = viewport.width < 600;  // a finger instead of a mouse, and the width that the page asks for
  const context = await browser.newContext({ viewport, timezoneId: 'Asia/Tokyo', locale: 'en-US', permissions,
    isMobile: isPhone, hasTouch: isPhone });
  page = await context.newPage();
  page.setDefaultTimeout(30000);
  page.on('console', (line) => { if (['error', 'warning'].includes(line.type())) said.push(line.text()); });
  page.on('pageerror', (error) => said.push(String(error)));
};
const Step = Object.getPrototypeOf(async () => {}).constructor;
for await (const line of createInterface({ input: process.stdin })) {
  const { viewport, step, arg } = JSON.parse(line);
  let answer;
  try {
    answer = { value: viewport ? await open(viewport) : await new Step('page', 'axe', 'arg', step)(page, axe, arg) };
  } catch (error) {
    answer = { error: String(error.stack ?? error) };
  }
  console.log(JSON.stringify({ ...answer, said }));
  said = [];
}
await browser.close();
