"use strict";
/* The list of pictures: a thumbnail, a name, how far each is. Elements stay, so that the focus does. */
{
  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };

  /* Only what is new is written: a text that is set anew is read out anew. */
  const write = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };

  const sizeOf = bytes => {
    if (bytes < 1e3) return bytes === 1 ? "1 byte" : `${bytes} bytes`;
    return bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  };
  const secondsOf = seconds => {
    if (seconds < 10) return `${seconds.toFixed(1)} s`;
    if (seconds < 100) return `${Math.round(seconds)} s`;
    return `${Math.round(seconds / 60)} min`;
  };

  const factsOf = one => {
    const pixels = one.width ? `${one.width} \u00d7 ${one.height}, ` : "";
    return pixels + sizeOf(one.size);
  };

  /* One task in words: of restoring, or of the branches. */
  const stateOf = (task, ahead = 0) => {
    if (task.state === "sending") return "sending";
    if (task.state === "waiting") return ahead ? `waiting, ${ahead} ahead` : "waiting";
    if (task.state === "done") return `done in ${secondsOf(task.seconds)}`;
    if (task.state === "failed") return task.reason;
    if (task.share >= 1) return "saving";
    const left = task.left === null ? "" : task.left > 0.5 ? `, ${secondsOf(task.left)} left` : ", almost done";
    if (task.share > 0) return `${Math.floor(100 * task.share)} %${left}`;
    return `restoring for ${secondsOf(task.seconds)}${left}`;
  };

  class List {
    constructor(element, {choose, remove}) {
      Object.assign(this, {element, choose, remove, chosen: 0, rows: new Map()});
    }

    row(one) {
      if (this.rows.has(one.number)) return this.rows.get(one.number);
      const image = make("img", {alt: "", width: 64, height: 48, hidden: ""});
      const name = make("span", {class: "name"});
      const facts = make("span", {class: "quiet number"});
      const state = make("span", {class: "state"});
      const bar = make("progress", {max: 1, "aria-label": `Progress of ${one.name}`});
      const pick = make("button", {type: "button", class: "pick"}, make("span", {class: "frame"}, image), make("span", {class: "words"}, name, facts, state));
      const remove = make("button", {type: "button", class: "remove", "aria-label": `Remove ${one.name}`, title: "Remove"}, "\u00d7");
      name.textContent = name.title = one.name;
      pick.addEventListener("click", () => this.choose(one.number));
      remove.addEventListener("click", () => this.remove(one.number));
      const row = {item: make("li", {}, pick, remove, bar), pick, image, facts, state, bar};
      this.rows.set(one.number, row);
      return row;
    }

    show(pictures) {
      const wanted = new Set(pictures.map(one => one.number));
      for (const [number, row] of this.rows) {
        if (wanted.has(number)) continue;
        row.item.remove();
        this.rows.delete(number);
      }
      let ahead = 0;
      for (const one of pictures) {
        this.update(this.row(one), one, ahead);
        if (["waiting", "working"].includes(one.restoring.state)) ahead += 1;
      }
    }

    update(row, one, ahead) {
      const {state, share} = one.restoring;
      write(row.facts, factsOf(one));
      const strength = state === "done" && one.strength !== 1 ? `, strength ${one.strength.toFixed(2)}` : "";
      write(row.state, stateOf(one.restoring, ahead) + strength);
      row.item.dataset.state = state;
      row.bar.hidden = state !== "working";
      if (share > 0) row.bar.value = share;
      else row.bar.removeAttribute("value");
      if (one.width && row.image.hidden) {
        row.image.src = `pictures/${one.number}/thumb`;
        row.image.hidden = false;
      }
      if (one.number === this.chosen) row.pick.setAttribute("aria-current", "true");
      else row.pick.removeAttribute("aria-current");
      if (!row.item.isConnected) this.element.append(row.item);
    }

    reveal(number) {
      this.rows.get(number)?.item.scrollIntoView({block: "nearest", inline: "nearest"});
    }
  }

  Object.assign(tryout, {List, make, write, factsOf, stateOf, secondsOf});
}
