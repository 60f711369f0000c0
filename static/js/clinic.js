/* What pages do beyond links and forms. Without it every page still works. */
(() => {
  "use strict";

  const find = document.getElementById("find");
  const found = document.getElementById("found");
  const said = document.getElementById("said");

  // The find box: "/" goes there, arrows walk the results, Escape closes them.

  const links = () => (found ? [...found.querySelectorAll("a")] : []);
  const close = () => {
    if (found) found.replaceChildren();
  };
  const typing = (element) =>
    element.matches("input, textarea, select") || element.isContentEditable;

  document.addEventListener("keydown", (event) => {
    if (!find) return;
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey) {
      if (typing(event.target)) return;
      event.preventDefault();
      find.focus();
      find.select();
      return;
    }
    if (!event.target.closest(".find")) return;
    if (event.key === "Escape") {
      if (links().length || found?.childElementCount) event.preventDefault();
      close();
      find.focus();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const all = links();
      if (!all.length) return;
      event.preventDefault();
      const next = all.indexOf(event.target) + (event.key === "ArrowDown" ? 1 : -1);
      (all[next] ?? (next < 0 ? find : all.at(-1))).focus();
    }
  });

  document.addEventListener("click", (event) => {
    if (!event.target.closest(".find")) close();
  });
  document.addEventListener("focusin", (event) => {
    if (!event.target.closest(".find")) close();
  });

  // A menu closes by Escape, and when one goes on elsewhere.

  const menu = () => document.querySelector(".more-menu[open]");
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu()) return;
    const summary = menu().querySelector("summary");
    menu().open = false;
    summary.focus();
  });
  for (const kind of ["click", "focusin"]) {
    document.addEventListener(kind, (event) => {
      if (menu() && !menu().contains(event.target)) menu().open = false;
    });
  }

  // Tell a screen reader how many there are now.

  document.addEventListener("htmx:afterSwap", (event) => {
    const counted = event.detail.target.querySelector?.("[data-said]");
    if (counted && said) said.textContent = counted.dataset.said;
  });

  // Live parts: swap only what changed, keep the end in view, say when they are stale.

  const seen = new WeakMap();
  const toEnd = (element) => {
    element.scrollTop = element.scrollHeight;
  };
  document.querySelectorAll("[data-live]").forEach(toEnd);

  document.addEventListener("htmx:beforeSwap", (event) => {
    const live = event.detail.target;
    if (!live.matches?.("[data-live]")) return;
    stale(live, false);
    const text = event.detail.serverResponse;
    if (seen.get(live) === text) event.detail.shouldSwap = false;
    seen.set(live, text);
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target.matches?.("[data-live]")) toEnd(event.detail.target);
  });
  for (const trouble of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
    document.addEventListener(trouble, (event) => {
      const live = event.detail.elt;
      if (live?.matches?.("[data-live]")) stale(live, true);
    });
  }

  // Any other part that failed: say so, with the id by which it is found in the logs.

  const trouble = document.getElementById("trouble");
  const quiet = new Set([401, 423]); // answered by a page of their own
  for (const kind of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
    document.addEventListener(kind, (event) => {
      const { elt, xhr } = event.detail;
      if (!trouble || elt?.matches?.("[data-live]") || quiet.has(xhr?.status)) return;
      const reference = xhr?.getResponseHeader?.("X-Request-ID") ?? "";
      trouble.querySelector("code").textContent = reference;
      trouble.querySelector("span").hidden = !reference;
      trouble.hidden = false;
    });
  }
  document.addEventListener("htmx:beforeRequest", () => {
    if (trouble) trouble.hidden = true;
  });

  function stale(live, is) {
    const note = live.parentElement.querySelector(".stale");
    if (!note || note.hidden === !is) return;
    note.hidden = !is;
    // 24 hours, as the pages write clocks.
    const clock = new Intl.DateTimeFormat(document.documentElement.lang, {
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
    });
    note.querySelector("time").textContent = clock.format(new Date());
  }

  // Forms: a second press of the button does nothing; filters answer at once.

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.getAttribute("aria-busy") === "true") {
      event.preventDefault();
      return;
    }
    form.setAttribute("aria-busy", "true");
    event.submitter?.setAttribute("aria-busy", "true");
  });
  const rest = (part) => {
    part
      .querySelectorAll("form[aria-busy], button[aria-busy]")
      .forEach((element) => element.removeAttribute("aria-busy"));
  };
  // A page taken from the back-forward cache has not been sent yet.
  window.addEventListener("pageshow", () => rest(document));
  // A part that could not be fetched may be asked for again.
  document.addEventListener("htmx:afterRequest", () => rest(document));
  // What cannot be done without a script shows itself only here.
  document.querySelectorAll("[data-print]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  });
  document.querySelectorAll("[data-copy]").forEach((button) => {
    // Browsers copy on safe pages only.
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = document.getElementById(button.dataset.copy).textContent.trim();
      await navigator.clipboard.writeText(text);
      button.textContent = said.textContent = button.dataset.copied;
    });
  });
  document.querySelectorAll("form[data-auto]").forEach((form) => {
    form.addEventListener("change", (event) => {
      if (event.target.value || event.target.matches("select")) form.requestSubmit();
    });
  });
})();
