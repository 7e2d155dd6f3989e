(() => {
'use strict';
const byId = (id, root = document) => root.getElementById(id);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const LIVE = '[data-live]';

// --- times, in the reader's own zone and written like the server's ---------------------------------

const format = new Intl.DateTimeFormat('en-GB', {year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit',
  minute: '2-digit', hourCycle: 'h23', timeZoneName: 'short'});
const written = (date) => {
  const part = Object.fromEntries(format.formatToParts(date).map(({type, value}) => [type, value]));
  return {day: `${part.year}-${part.month}-${part.day}`, time: `${part.hour}:${part.minute}`, zone: part.timeZoneName};
};
const localize = (root) => {
  const today = written(new Date()).day;
  for (const time of all('time', root)) {
    const date = new Date(time.dateTime);
    if (isNaN(date)) continue;
    const {day, time: clock, zone} = written(date);
    time.textContent = !time.classList.contains('clock') ? `${day} ${clock} ${zone}`
      : day === today ? clock : `${day} ${clock}`;
  }
};

const sent = new Map(all(LIVE).map((part) => [part.id, part.outerHTML]));  // as the server wrote it
localize(document);
if (!document.getElementById('q')) return;  // not the status page

// --- the filter: hides what lacks one of the words; a list that the server has cut is asked for again

const query = byId('q');
let asked = query.value;  // what the server has filtered by
let texts = new WeakMap();
const filter = () => {
  const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const item of all('#rows>li,#cards>article')) {
    if (!texts.has(item)) texts.set(item, item.textContent.toLowerCase());
    const text = texts.get(item);
    const hidden = !words.every((word) => text.includes(word));
    if (item.hidden !== hidden) item.hidden = hidden;
  }
  if (words.length) byId('rest').open = true;
};
const isCut = () => asked !== '' || byId('rows').dataset.more !== '0' || byId('more').textContent.trim() !== '';
let typing = 0;
query.addEventListener('input', () => {
  filter();
  clearTimeout(typing);
  if (isCut()) typing = setTimeout(refresh, 300);
});

// --- new reports replace what has changed, except what the reader has selected or types into ------

let latest, hasLeft = false;  // the last report, and whether a part was left as it was because the reader uses it
const isUsed = (part) => {
  const selection = getSelection();
  const selected = !selection.isCollapsed && selection.rangeCount && selection.getRangeAt(0).intersectsNode(part);
  return selected
    || all('input:not([type=hidden])', part).some((input) => input === document.activeElement || input.value);
};
const isLeft = (part) => isUsed(part) && (hasLeft = true);
const release = async () => {
  while (press.held) await new Promise((done) => setTimeout(done, 50));
};
const CONTROLS = 'a,button,summary,input:not([type=hidden]),pre';
const replace = (part, fresh) => {
  if (sent.get(part.id) === fresh.outerHTML || isLeft(part)) return;
  sent.set(part.id, fresh.outerHTML);
  const focused = all(CONTROLS, part).indexOf(document.activeElement);
  const open = all('details', part).map((details) => details.open);
  const now = document.importNode(fresh, true);
  all('details', now).forEach((details, index) => { details.open = open[index] ?? details.open; });
  part.replaceWith(now);
  localize(now);
  if (focused >= 0) all(CONTROLS, now)[focused]?.focus({preventScroll: true});
};
const end = (card, page) => {  // what needed someone does not any more
  if (!sent.has(card.id) || isLeft(card)) return;
  sent.delete(card.id);
  const works = card.dataset.of.split(' ').some((id) => {
    const row = page.querySelector(`#rows a[href="explain?c=${id}"]`);
    return row && !row.parentElement.querySelector('b');
  });
  all(':scope>*', card).slice(2).forEach((part) => part.remove());
  card.querySelector('.lead').textContent = works ? 'Works again.' : 'No longer reported.';
  card.className = `card over ${works ? 'ok' : 'info'}`;
  setTimeout(() => { if (!sent.has(card.id)) card.remove(); }, 600000);
};
const apply = () => {
  const page = latest;
  hasLeft = false;
  document.title = page.title;
  byId('icon').href = byId('icon', page).href;
  for (const card of all('#cards>article')) if (!byId(card.id, page)) end(card, page);
  let place = byId('cards').firstElementChild;
  for (const fresh of all('#cards>article', page)) {
    let card = byId(fresh.id);
    const inPlace = card === place;
    if (card) replace(card, fresh);
    else {
      sent.set(fresh.id, fresh.outerHTML);
      card = document.importNode(fresh, true);
      localize(card);
      byId('cards').insertBefore(card, place);
    }
    card = byId(fresh.id);
    if (inPlace) place = card;
    while (place && place !== card && !sent.has(place.id)) place = place.nextElementSibling;
    if (place !== card && !isLeft(card)) byId('cards').insertBefore(card, place);
    place = card.nextElementSibling;
  }
  for (const fresh of all(`${LIVE}:not(article)`, page)) {
    const part = byId(fresh.id);
    if (part) replace(part, fresh);
  }
  filter();
};

let fetching = false, waiting = 0, took = 0, size = 0, ended = -1e9, contact = new Date();
const ask = async () => {  // the status page of now, or nothing
  const words = isCut() ? query.value : '';
  try {
    const answer = await fetch(`./?q=${encodeURIComponent(words)}`, {signal: AbortSignal.timeout(20000)});
    if (!answer.ok) return null;
    const text = await answer.text(), page = new DOMParser().parseFromString(text, 'text/html');
    if (!byId('verdict', page)) return null;  // another page
    asked = words;
    size = text.length;
    return page;
  } catch {
    return null;
  }
};
const refresh = async () => {
  clearTimeout(waiting);
  waiting = 0;
  if (fetching) return soon();
  fetching = true;
  const began = performance.now(), page = await ask();
  fetching = false;
  ended = performance.now();
  took = ended - began;
  if (!page) return lose();
  contact = new Date();
  byId('contact').hidden = true;
  latest = page;
  await release();
  apply();
};
const soon = () => {  // not so often that reading the page keeps the exporter or the phone busy: at most 10 kB a second
  waiting ||= setTimeout(refresh, Math.max(0, ended + Math.max(1000, 20 * took, size / 10) - performance.now()));
};
const lose = () => {
  const {day, time} = written(contact);
  const line = byId('contact');
  line.textContent = `No contact since ${day === written(new Date()).day ? '' : `${day} `}${time}. `
    + 'What you see is the last known state.';
  line.hidden = false;
  document.title = 'No contact · OpenClaw credentials';
  byId('icon').href = byId('icon').dataset.lost;
  size = 0;
  setTimeout(soon, 2000);
};

let events = null, revision = null, heard = 0;
const listen = () => {
  events?.close();
  if (document.hidden) return;
  heard = performance.now();
  events = new EventSource('api/v1/events');
  events.onmessage = (event) => {
    heard = performance.now();
    const news = JSON.parse(event.data);
    left = news.checking;
    progress();
    if (news.revision !== revision || !byId('contact').hidden) soon();
    revision = news.revision;
  };
  events.onerror = soon;
};
document.addEventListener('visibilitychange', () => {
  listen();
  if (!document.hidden) soon();
});
setInterval(() => {
  if (document.hidden) return;
  if (events.readyState === EventSource.CLOSED || performance.now() - heard > 40000) listen();
  if (performance.now() - ended > 60000) soon();
}, 5000);
setInterval(() => { if (hasLeft && !press.held) apply(); }, 1000);

// --- buttons -------------------------------------------------------------------------------------

const say = (text) => { byId('said').textContent = text; };
const SAID = {check: 'Checked.', acknowledge: 'Acknowledged.', silences: 'Silenced.', remove: 'The silence has ended.'};
let begun = 0, most = 0, left = 0;  // when a check was asked for, and how many targets are being checked
const progress = () => {
  const bar = byId('progress');
  bar.hidden = !begun;
  byId('going').textContent = '';
  if (!begun) return;
  most = Math.max(most, left);
  if (most > 1) {
    bar.max = most;
    bar.value = most - left;
  } else bar.removeAttribute('value');
  const seconds = Math.round((performance.now() - begun) / 1000);
  byId('going').textContent = `Checking${most > 1 && left ? `, ${left} left` : ''}: ${seconds} s`;
};
document.addEventListener('submit', async (event) => {
  const form = event.target, path = form.getAttribute('action');
  if (form.id === 'filter') return event.preventDefault();
  if (!path?.startsWith('api/')) return;
  event.preventDefault();
  const fields = new URLSearchParams(new FormData(form)), button = event.submitter;
  if (button?.name) fields.set(button.name, button.value);
  let ticking = 0;
  if ('progress' in form.dataset) {
    begun = performance.now();
    most = left = 0;
    progress();
    ticking = setInterval(progress, 1000);
  }
  say('');
  all('button', form).forEach((one) => { one.disabled = true; });
  try {
    const answer = await fetch(path, {method: 'POST', body: fields});
    const text = await answer.text();
    say(answer.ok ? SAID[path.split('/').pop()] ?? 'Done.' : text.slice(0, 300));
    if (answer.ok) form.reset();
  } catch {
    say('The exporter did not answer.');
  }
  clearInterval(ticking);
  begun = 0;
  progress();
  all('button', form).forEach((one) => { one.disabled = false; });
  const choices = form.closest('details.choices');
  if (choices) choices.open = false;
  await refresh();
});

filter();
listen();
})();
