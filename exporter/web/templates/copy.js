(() => {
'use strict';
document.documentElement.classList.add('js');
// Copying works without the clipboard's API too, which browsers offer only over TLS and on loopback.
const copy = async (button) => {
  const pre = button.parentElement.querySelector('pre');
  try {
    await navigator.clipboard.writeText(pre.textContent);
  } catch {
    const range = document.createRange(), selection = getSelection();
    range.selectNodeContents(pre);
    selection.removeAllRanges();
    selection.addRange(range);
    if (!document.execCommand('copy')) return;
    selection.removeAllRanges();
  }
  button.textContent = 'Copied';
  setTimeout(() => { button.textContent = 'Copy'; }, 2000);
};
document.addEventListener('click', (event) => {
  if (event.target.matches('[data-copy]')) copy(event.target);
});
})();
