"use strict";
/* Verdicts: kept by the server where there is one, else by the browser; a copy in the browser in any case. */
{
  const RETRY = 2000; // milliseconds
  const held = new Map(); // key -> {verdict, note}
  const unsaved = new Set();
  const listeners = [];
  let saving = false;

  const place = () => `cdg-verdicts ${review.site.id}`;

  const keep = () => {
    try {
      localStorage.setItem(place(), JSON.stringify(Object.fromEntries(held)));
      return true;
    } catch {
      return false; // private windows may refuse; the server or the download holds them then
    }
  };

  const state = () => {
    if (unsaved.size) return saving ? "saving" : "not saved: the server does not answer, trying again";
    return review.site.served ? "saved" : "kept by this browser; download to use them";
  };

  const changed = key => listeners.forEach(listener => listener(key));

  const send = async () => {
    if (saving || !unsaved.size) return;
    saving = true;
    const [key] = unsaved;
    const {verdict, note} = held.get(key);
    try {
      const answer = await fetch(`verdicts`, {
        method: "POST",
        headers: {"Content-Type": "application/json"},
        body: JSON.stringify({key, verdict, note}),
        keepalive: true,
      });
      if (!answer.ok) throw new Error(answer.statusText);
      const now = held.get(key);
      if (now.verdict === verdict && now.note === note) unsaved.delete(key);
      saving = false;
      changed(key);
      send();
    } catch {
      saving = false;
      changed(key);
      setTimeout(send, RETRY);
    }
  };

  const set = (key, change) => {
    held.set(key, {verdict: "", note: "", ...held.get(key), ...change}); // one taken back too: it hides the file's
    keep();
    if (review.site.served) {
      unsaved.add(key);
      send();
    }
    changed(key);
  };

  const open = initial => {
    for (const [key, value] of Object.entries(initial)) held.set(key, value);
    if (review.site.served) return;
    try {
      const own = JSON.parse(localStorage.getItem(place()) ?? "{}");
      for (const [key, value] of Object.entries(own)) held.set(key, value);
    } catch { /* what was there is no list of verdicts */ }
  };

  const download = () => {
    const file = {format: "cdg-verdicts", version: 1, verdicts: Object.fromEntries([...held].filter(([, one]) => one.verdict || one.note).sort())};
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(file, null, 2) + "\n"], {type: "application/json"}));
    link.download = "verdicts.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  window.addEventListener("beforeunload", event => {
    if (unsaved.size) event.preventDefault();
  });

  review.verdicts = {
    open, set, download, state,
    get: key => held.get(key) ?? {verdict: "", note: ""},
    count: verdict => [...held.values()].filter(one => one.verdict === verdict).length,
    onChange: listener => listeners.push(listener),
  };
}
