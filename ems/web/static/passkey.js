// Passkeys, on the two pages that offer them. Without this script the page says that they cannot be used.
"use strict";
const form = document.querySelector("form[data-ask]");
const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

async function answer() {
  const body = new URLSearchParams({ token: form.elements.token.value });
  const asked = await fetch(form.dataset.ask, { method: "POST", body });
  if (!asked.ok) throw new Error(asked.status);
  const publicKey = await asked.json();
  publicKey.challenge = bytes(publicKey.challenge);
  let made;
  if (publicKey.user) {
    publicKey.user.id = bytes(publicKey.user.id);
    for (const known of publicKey.excludeCredentials) known.id = bytes(known.id);
    made = await navigator.credentials.create({ publicKey });
  } else {
    made = await navigator.credentials.get({ publicKey });
  }
  const response = {};
  for (const part of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (made.response[part]) response[part] = text(made.response[part]);
  }
  return JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, response });
}

if (form && window.PublicKeyCredential) {
  const trouble = form.querySelector("[role=alert]");
  form.hidden = false;
  document.getElementById("no-passkey").hidden = true;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    trouble.hidden = true;
    try {
      form.elements.answer.value = await answer();
      form.submit();
    } catch {
      trouble.hidden = false;
    }
  });
}
