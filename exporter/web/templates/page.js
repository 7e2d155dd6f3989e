(() => {
'use strict';
const byId = (id) => document.getElementById(id);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
document.documentElement.classList.add('js');

// Times in the reader's own zone, written like the server's.
const format = new Intl.DateTimeFormat('en-GB', {year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit',
  minute: '2-digit', hourCycle: 'h23', timeZoneName: 'short'});
const local = (date) => {
  const part = Object.fromEntries(format.formatToParts(date).map(({type, value}) => [type, value]));
  return `${part.year}-${part.month}-${part.day} ${part.hour}:${part.minute} ${part.timeZoneName}`;
};
const clock = (date) => date.toLocaleTimeString('en-GB', {hour: '2-digit', minute: '2-digit'});
const localize = (root) => all('time', root).forEach((time) => {
  const date = new Date(time.dateTime);
  if (!isNaN(date)) time.textContent = local(date);
});

// The filter: hides what lacks one of the words. A list that the server has cut is asked for again.
const query = byId('q');
const texts = new WeakMap();
const filter = () => {
  const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const item of all('#rows>li,#cards>article')) {
    if (!texts.has(item)) texts.set(item, item.textContent.toLowerCase());
    const text = texts.get(item);
    item.hidden = !words.every((word) => text.includes(word));
  }
  if (words.length) byId('rest').open = true;
};
let asked = 0;
query.addEventListener('input', () => {
  filter();
  clearTimeout(asked);
  if (byId('rows').dataset.more !== '0' || shown !== '') asked = setTimeout(refresh, 300);
});
byId('filter').addEventListener('submit', (event) => event.preventDefault());

// Copying works without the clipboard's API too, which browsers offer only over TLS and on loopback.
const copy = async (button) => {
  const pre = button.parentElement.querySelector('pre');
  try {
    await navigator.clipboard.writeText(pre.textContent);
  } catch {
    const range = document.createRange();
    range.selectNodeContents(pre);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    if (!document.execCommand('copy')) return;
    getSelection().removeAllRanges();
  }
  button.textContent = 'Copied';
  setTimeout(() => { button.textContent = 'Copy'; }, 2000);
};
document.addEventListener('click', (event) => {
  if (event.target.matches('[data-copy]')) copy(event.target);
});

let shown = query.value;
const refresh = () => {};
localize(document);
filter();
})();
