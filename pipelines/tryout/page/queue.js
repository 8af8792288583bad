"use strict";
/* The server's list of pictures, asked for again and again, so that every tab shows the same. */
window.tryout = {};
{
  const BUSY = 500, IDLE = 2000; // milliseconds between two questions
  const OPEN = ["sending", "waiting", "working"];
  const GONE = "The server does not answer. Is it still running? This page continues when the server is back.";
  const STRANGER = "The server was restarted. Open the address that it shows in its terminal.";
  const listeners = [], restarts = [];
  let run = "", pictures = [], timer = 0, asked = 0, trouble = "";

  const tell = () => listeners.forEach(listener => listener(pictures, trouble));

  const take = answer => {
    const isOther = run && answer.run !== run;
    run = answer.run;
    pictures = answer.pictures;
    trouble = "";
    if (isOther) restarts.forEach(listener => listener());
    tell();
  };

  const isBusy = () => pictures.some(one => OPEN.includes(one.restoring.state) || OPEN.includes(one.branches.state));

  /* Ask now; the answer to an earlier question that comes later is passed over. */
  const ask = async () => {
    clearTimeout(timer);
    const mine = ++asked;
    try {
      const answer = await fetch("queue");
      if (!answer.ok) throw new Error(answer.status === 403 ? STRANGER : GONE);
      const body = await answer.json();
      if (mine === asked) take(body);
    } catch (error) {
      if (mine !== asked) return;
      trouble = error instanceof TypeError ? GONE : error.message; // a TypeError is fetch's own: nobody answered
      tell();
    }
    if (mine === asked) timer = setTimeout(ask, isBusy() && !document.hidden ? BUSY : IDLE);
  };

  document.addEventListener("visibilitychange", () => document.hidden || ask());

  /* A change that this tab asks for; true if it was done. */
  const change = async (method, path, body) => {
    const options = {method};
    if (body) Object.assign(options, {headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)});
    try {
      const answer = await fetch(path, options);
      await ask();
      return answer.ok;
    } catch {
      await ask();
      return false;
    }
  };

  tryout.queue = {
    ask,
    remove: number => change("DELETE", `pictures/${number}`),
    setStrength: (number, strength) => change("PUT", `pictures/${number}/strength`, {strength}),
    setStrengthOfAll: strength => change("PUT", "strength", {strength}),
    askParts: number => change("POST", `pictures/${number}/parts`, {}),
    find: number => pictures.find(one => one.number === number),
    all: () => pictures,
    onChange: listener => listeners.push(listener),
    onRestart: listener => restarts.push(listener),
  };
}
