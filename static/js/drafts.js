/* Keeps long text while it is typed. Without it a form is an ordinary form. */
(() => {
  "use strict";

  const PAUSE = 1500;
  const [FIRST_RETRY, LAST_RETRY] = [5000, 60000];

  const watched = new WeakSet();

  function watch(form) {
    if (watched.has(form)) return;
    watched.add(form);
    const fields = [...form.querySelectorAll("[data-draft-field]")];
    const note = form.querySelector("[data-draft-note]");
    const said = document.getElementById("said");
    let timer = 0;
    let wait = FIRST_RETRY;
    let sent = false;
    let asking = null;
    const typed = () => JSON.stringify(fields.map((field) => field.value));
    let kept = typed();

    const later = (milliseconds, again) => {
      clearTimeout(timer);
      timer = setTimeout(() => keep(again), milliseconds);
    };

    const tell = (words) => {
      if (note.textContent.trim() === words) return;
      // A screen reader hears that something is wrong, and when it is right again.
      if (words === note.dataset.failed || note.classList.contains("warn")) {
        said.textContent = words;
      }
      note.classList.toggle("warn", words === note.dataset.failed);
      note.textContent = words;
    };

    async function keep(again = false) {
      clearTimeout(timer);
      const now = typed();
      if (sent || now === kept) return;
      const body = new URLSearchParams({ draft_key: form.dataset.draft });
      body.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
      fields.forEach((field) => body.set(field.name, field.value));
      asking?.abort();
      const mine = (asking = new AbortController());
      try {
        const answer = await fetch(form.dataset.draftTo, {
          method: "POST",
          body,
          // Trying again by itself is nobody being there.
          headers: { Accept: "text/plain", ...(again && { "X-Poll": "1" }) },
          redirect: "manual",
          keepalive: true,
          signal: mine.signal,
        });
        const words = await answer.text();
        if (answer.status === 400) {
          kept = now;
          note.classList.add("warn");
          note.textContent = said.textContent = words;
          return;
        }
        if (!answer.ok) throw new Error(answer.status);
        kept = now;
        wait = FIRST_RETRY;
        tell(words);
      } catch {
        if (sent || mine !== asking) return;
        tell(note.dataset.failed);
        later(wait, true);
        wait = Math.min(wait * 2, LAST_RETRY);
      }
    }

    form.addEventListener("input", (event) => {
      if (fields.includes(event.target)) later(PAUSE);
    });
    form.addEventListener("focusout", (event) => {
      // On its way to the button of this form it is about to be sent.
      if (!form.contains(event.relatedTarget)) keep();
    });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") keep();
    });
    form.addEventListener("submit", () => {
      sent = true;
      clearTimeout(timer);
      asking?.abort();
    });
    window.addEventListener("pageshow", () => {
      sent = false;
    });
    if ("draftUnsaved" in form.dataset) {
      kept = null;
      keep();
    }
  }

  // Those of the page, and those that come later in its place.
  const within = (part) => part.querySelectorAll?.("form[data-draft]").forEach(watch);
  within(document);
  document.addEventListener("htmx:load", (event) => within(event.detail.elt));
})();
