(() => {
'use strict';
// Shows how a renewal goes on where nobody has anything to enter. A reload would take away what is being read or pressed.
let asking = false;
const main = () => document.querySelector('main');
const isRead = () => {
  const selection = getSelection();
  return press.held || (!selection.isCollapsed && selection.getRangeAt(0).intersectsNode(main()));
};
const show = (page) => {
  const fresh = page.querySelector('main');
  if (!page.querySelector('[data-renewal]')) return location.reload();  // it is gone: the exporter says why
  document.getElementById('contact').hidden = true;
  if (isRead() || fresh.outerHTML === shown) return;
  shown = fresh.outerHTML;
  const focused = [...main().querySelectorAll('a,button,summary,pre')].indexOf(document.activeElement);
  const now = document.importNode(fresh, true);
  main().replaceWith(now);
  const field = now.querySelector('[autofocus]');
  if (field) field.focus();
  else if (focused >= 0) now.querySelectorAll('a,button,summary,pre')[focused]?.focus({preventScroll: true});
};
let shown = main().outerHTML;
const ask = async () => {
  if (asking || document.hidden || !('follow' in main().dataset)) return;
  asking = true;
  try {
    const answer = await fetch(location.href, {signal: AbortSignal.timeout(20000)});
    show(new DOMParser().parseFromString(await answer.text(), 'text/html'));
  } catch {
    document.getElementById('contact').hidden = false;
  }
  asking = false;
};
setInterval(ask, 1000);
document.addEventListener('visibilitychange', ask);  // a person who comes back from the sign-in sees how it is now
})();
