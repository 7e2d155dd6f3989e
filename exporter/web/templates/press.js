// Whether something is being pressed: what is replaced before it is released is not clicked.
const press = {held: false};
(() => {
'use strict';
const end = () => { press.held = false; };
document.addEventListener('pointerdown', (event) => { press.held = event.button === 0; }, true);
// A drag, a menu and another window end a press without a release; one outside the window shows at the next move.
for (const name of ['pointerup', 'pointercancel', 'dragend', 'contextmenu']) document.addEventListener(name, end, true);
document.addEventListener('pointermove', (event) => { if (!event.buttons) end(); }, true);
addEventListener('blur', end);
})();
