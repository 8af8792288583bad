"use strict";
/* What each branch of the network made of the chosen picture, asked for by a button. */
{
  class Parts {
    constructor(element, button) {
      Object.assign(this, {element, button, number: 0, shown: ""});
      button.addEventListener("click", () => {
        if (this.element.childElementCount) this.element.scrollIntoView({behavior: "smooth", block: "start"});
        else tryout.queue.askParts(this.number);
      });
    }

    show(one) {
      this.number = one?.number ?? 0;
      const isPossible = "branches" in document.body.dataset && one?.restoring.state === "done";
      this.button.hidden = !isPossible;
      if (!isPossible) return this.clear();
      const {state} = one.branches;
      const isOpen = ["waiting", "working"].includes(state);
      this.button.disabled = isOpen;
      tryout.write(this.button, isOpen ? `Branches: ${tryout.stateOf(one.branches)}` : state === "failed" ? "Show the branches again" : "Show the branches");
      const key = `${one.number} ${state}`;
      if (key === this.shown) return undefined;
      const isNew = this.shown === `${one.number} working` || this.shown === `${one.number} waiting`;
      this.shown = key;
      this.element.replaceChildren();
      this.element.hidden = !["done", "failed"].includes(state);
      if (state === "failed") this.element.append(tryout.make("p", {class: "warning"}, one.branches.reason));
      if (state !== "done") return undefined;
      this.element.append(...one.parts.map(part => this.figure(one, part)));
      if (isNew) this.element.scrollIntoView({behavior: "smooth", block: "start"});
      return undefined;
    }

    clear() {
      this.shown = "";
      this.element.hidden = true;
      this.element.replaceChildren();
    }

    figure(one, part) {
      const {make} = tryout;
      const source = `pictures/${one.number}/parts/${part.name}`;
      const image = make("img", {src: source, alt: `${one.name}, ${part.title}`, width: one.width, height: one.height});
      const link = make("a", {href: source, target: "_blank", rel: "noopener", title: "Open at full size"}, image);
      const values = "low" in part ? `; values here: ${part.low.toFixed(2)} to ${part.high.toFixed(2)}` : "";
      return make("figure", {}, link, make("figcaption", {}, make("strong", {}, part.title), ` ${part.about}${values}.`));
    }
  }

  tryout.Parts = Parts;
}
