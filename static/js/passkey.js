/* Says in words when a passkey did not work; allauth's own script does the rest. */
(() => {
  "use strict";

  document.addEventListener("allauth.error", (event) => {
    const said = document.querySelector("[data-passkey-error]");
    if (!said) return;
    event.preventDefault();
    said.hidden = false;
    said.focus();
  });
})();
