/* Covers the page while nobody is there. Whether it is locked, the server says; what is
   typed stays in the page, and unlocking does not leave it. */
(() => {
  "use strict";

  const dialog = document.getElementById("lock");
  if (!dialog) return;
  const form = dialog.querySelector("[data-unlock]");
  const password = form.elements.password;
  const error = document.getElementById("lock-error");
  const { ask, active, lock, seconds, user } = dialog.dataset;
  const tabs = new BroadcastChannel("clinic-lock");
  const minute = 60_000;
  let timer;

  async function look() {
    let answer;
    try {
      // A login page in its place is no answer but the end of the session.
      answer = await fetch(ask, {
        headers: { "X-Poll": "1", Accept: "application/json" },
        redirect: "manual",
      });
    } catch {
      // Nobody can be asked: rather locked than open.
      cover();
      wait(minute);
      return;
    }
    if (!answer.ok) {
      location.reload();
      return;
    }
    const told = await answer.json();
    if (String(told.user) !== user) location.reload();
    else if (told.locked) cover();
    else {
      uncover();
      wait(told.seconds * 1000);
    }
  }

  function wait(milliseconds) {
    clearTimeout(timer);
    timer = setTimeout(look, milliseconds + 500);
  }

  function cover() {
    clearTimeout(timer);
    if (dialog.open) return;
    document.documentElement.classList.add("locked");
    dialog.showModal();
    password.focus();
  }

  function uncover() {
    if (!dialog.open) return;
    document.documentElement.classList.remove("locked");
    form.reset();
    error.textContent = "";
    dialog.close();
  }

  // Escape must not open it.
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.addEventListener("close", () => {
    if (document.documentElement.classList.contains("locked")) dialog.showModal();
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    // Not the page's own rule for forms: this one may be sent again at once.
    event.stopPropagation();
    error.textContent = "";
    let answer;
    try {
      answer = await fetch(form.action, {
        method: "POST",
        body: new FormData(form),
        headers: { Accept: "application/json" },
        redirect: "manual",
      });
    } catch {
      error.textContent = error.dataset.unreachable;
      return;
    }
    if (answer.ok) {
      uncover();
      wait(seconds * 1000);
      tabs.postMessage("look");
    } else if (answer.status === 422) {
      error.textContent = (await answer.json()).errors.join(" ");
      password.select();
    } else location.reload();
  });

  // "Lock now" covers the page at once, and leaves nothing that is being typed.
  document.addEventListener(
    "submit",
    (event) => {
      if (!event.target.matches("form[data-lock-now]")) return;
      event.preventDefault();
      event.stopPropagation();
      cover();
      fetch(lock, {
        method: "POST",
        body: new FormData(event.target),
        redirect: "manual",
        keepalive: true, // also when the next page is asked for meanwhile
      })
        .then(() => tabs.postMessage("look"))
        .catch(() => event.target.submit());
    },
    true,
  );

  // Typing and pointing are somebody; the server hears of it at most once a minute.
  let told = Date.now();
  function here(event) {
    if (!event.isTrusted || dialog.open || Date.now() - told < minute) return;
    told = Date.now();
    const body = new FormData();
    body.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
    fetch(active, { method: "POST", body, redirect: "manual" })
      .then((answer) => (answer.ok ? wait(seconds * 1000) : look()))
      .catch(() => {});
  }
  for (const deed of ["keydown", "pointerdown"]) {
    document.addEventListener(deed, here, { passive: true, capture: true });
  }

  tabs.addEventListener("message", look);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") look();
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) look();
  });
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status === 423) cover();
  });
  wait(seconds * 1000);
})();
