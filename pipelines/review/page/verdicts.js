"use strict";
/* Verdicts: kept by the server where there is one, else by the browser; a copy in the browser in any case, which outlives
   a server that was not there when the page was closed. */
{
  const RETRY = 2000; // milliseconds
  const held = new Map(); // key -> {verdict, note, method, mu}; the last two of what was shown, not of old files
  const unsaved = new Set(); // on their way to the server
  const refused = new Set(); // of frames that the server does not have
  const listeners = [];
  let saving = false;
  let trouble = ""; // why the last try failed

  /* Each verdict is an item of its own: windows hear of each other late, and would undo what shares one. */
  const place = key => `cdg-verdicts ${review.site.id} ${key}`;

  /* An item's {verdict, note, method, mu, at, unsaved}; at in milliseconds. */
  const parsed = text => {
    try {
      return JSON.parse(text);
    } catch {
      return null; // not a verdict
    }
  };

  /* The browser's copy: key -> what ``parsed`` gives. */
  const copy = () => {
    const found = {};
    try {
      for (const name of Object.keys(localStorage)) {
        const entry = name.startsWith(place("")) && parsed(localStorage.getItem(name));
        if (entry) found[name.slice(place("").length)] = entry;
      }
    } catch { /* a private window refuses */ }
    return found;
  };

  const keep = (key, isUnsaved) => {
    try {
      // Later than what the page brought, whatever the two clocks say.
      const at = Math.max(Date.now(), review.site.since + 1);
      localStorage.setItem(place(key), JSON.stringify({...held.get(key), at, unsaved: isUnsaved}));
    } catch { /* private windows may refuse; the server or the download holds it then */ }
  };

  const state = () => {
    if (unsaved.size && !saving) return `not saved: ${trouble || "the server does not answer"}; retrying`;
    if (unsaved.size) return "saving";
    if (refused.size) return `${refused.size} not saved: the server has no such frame`;
    return review.site.served ? "saved" : "kept in this browser; download to use them";
  };

  const changed = key => listeners.forEach(listener => listener(key));

  const reason = answer => {
    if (answer.status === 403) return "the server was restarted; open the address in its terminal";
    return answer.headers.get("X-Reason") ?? "the server does not answer";
  };

  const send = async () => {
    if (saving || !unsaved.size) return;
    saving = true;
    const [key] = unsaved;
    const sent = held.get(key), {verdict, note, method, mu} = sent;
    try {
      const answer = await fetch(`verdicts`, {
        method: "POST",
        headers: {"Content-Type": "application/json"},
        body: JSON.stringify({key, verdict, note, method, mu}),
        keepalive: true,
      });
      if (answer.status === 404 || answer.status === 400) refused.add(key);
      else if (!answer.ok) throw new Error(reason(answer));
      const now = held.get(key);
      if (["verdict", "note", "method", "mu"].every(name => now[name] === sent[name])) {
        unsaved.delete(key);
        keep(key, false);
      }
      trouble = "";
      saving = false;
      changed(key);
      send();
    } catch (error) {
      unsaved.delete(key); // its turn comes after the others': one that cannot be saved holds none up
      unsaved.add(key);
      trouble = error instanceof TypeError ? "" : error.message; // a TypeError is fetch's own: nobody answered
      saving = false;
      changed(key);
      setTimeout(send, RETRY);
    }
  };

  const set = (key, change) => {
    held.set(key, {verdict: "", note: "", ...held.get(key), ...change}); // one taken back too: it hides the file's
    keep(key, review.site.served);
    if (review.site.served) {
      unsaved.add(key);
      refused.delete(key);
      send();
    }
    changed(key);
  };

  /* What the page brings, and of the browser's copy what is newer: all of a page in a folder, of a served one what the
     server never got. */
  const open = initial => {
    for (const [key, value] of Object.entries(initial)) held.set(key, value);
    const known = new Set(review.frames.map(frame => frame.key));
    for (const [key, {at, unsaved: isLeft, ...verdict}] of Object.entries(copy())) {
      if (!known.has(key) || !(review.site.served ? isLeft : at > review.site.since)) continue;
      held.set(key, verdict);
      if (review.site.served) unsaved.add(key);
    }
    send();
  };

  window.addEventListener("storage", event => {
    const entry = event.key?.startsWith(place("")) && parsed(event.newValue);
    if (!entry) return;
    const key = event.key.slice(place("").length), {at, unsaved: isLeft, ...verdict} = entry, now = held.get(key);
    if (unsaved.has(key) || at <= review.site.since || (now?.verdict === verdict.verdict && now?.note === verdict.note)) return;
    held.set(key, verdict);
    changed(key);
  });

  const download = () => {
    const file = {format: "cdg-verdicts", version: 2, verdicts: Object.fromEntries([...held].filter(([, one]) => one.verdict || one.note).sort())};
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
