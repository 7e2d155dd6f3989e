// Draws dashboards in Chromium. Arguments: a JSON file of jobs {url, width, image}; prints the content of each page.
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const { chromium: executablePath, jobs } = JSON.parse(readFileSync(0, 'utf8'));
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
const found = [];
for (const { url, width, image } of jobs) {
  const page = await browser.newPage({ viewport: { width, height: 6000 }, timezoneId: 'UTC', locale: 'en-US' });
  const errors = [];
  page.on('pageerror', (error) => errors.push(`page: ${error}`));
  await page.goto(url);
  await page.waitForFunction('window.ready === true', null, { timeout: 60000 });
  // Panels outside the window are not drawn, so the window is very high; the image is as high as the dashboard.
  const height = await page.evaluate(() => Math.ceil(document.getElementById('root').scrollHeight));
  if (image) await page.screenshot({ path: image, clip: { x: 0, y: 0, width, height } });
  const shown = await page.evaluate(() => ({
    problems: window.problems,
    panels: Object.fromEntries([...document.querySelectorAll('[data-panel]')].map((panel) => [panel.dataset.panel, {
      text: panel.innerText,
      heads: [...panel.querySelectorAll('[role=columnheader]')].map((cell) => cell.innerText),
      rows: [...panel.querySelectorAll('[role=row]')].map((row) =>
        [...row.querySelectorAll('[role=gridcell]')].map((cell) => cell.innerText)).filter((row) => row.length),
      links: [...panel.querySelectorAll('[role=gridcell] a')].map((a) => a.getAttribute('href')),
      wider: [...panel.querySelectorAll('[role=grid]')].some((grid) => grid.scrollWidth > grid.clientWidth + 1),
    }])),
  }));
  found.push({ ...shown, problems: [...shown.problems, ...errors] });
  await page.close();
}
await browser.close();
console.log(JSON.stringify(found));
