// Brings the page up to date each half minute, without moving it: open folds stay open. Without it the page reloads.
// Values that the page shows live are told by the server as soon as they are measured.
"use strict";
if (document.querySelector("[data-live]")) {
  const told = new EventSource("/live?lang=" + document.documentElement.lang);
  told.onmessage = (message) => {
    for (const [key, text] of Object.entries(JSON.parse(message.data))) {
      for (const place of document.querySelectorAll(`[data-live="${key}"]`)) {
        if (place.textContent !== text) place.textContent = text;
      }
    }
  };
}
setInterval(async () => {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const fold of document.querySelectorAll("details[id]")) {
      const same = next.getElementById(fold.id);
      if (same) same.open = fold.open;
    }
    const held = document.activeElement && document.activeElement.closest("details[id]");
    for (const part of ["main", "footer"]) {
      document.querySelector(part).replaceWith(next.querySelector(part));
    }
    if (held) document.getElementById(held.id)?.querySelector("summary")?.focus({ preventScroll: true });
  } catch {
    // The next half minute tries again; the footer says how old the page is.
  }
}, 30000);
