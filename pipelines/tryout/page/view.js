"use strict";
/* The chosen picture, blurry and restored over each other: one wipe, one zoom, one place for both. */
{
  const SQUARES_FROM = 2; // screen pixels a pixel: from here on pixels are shown as squares
  const MOST = 32, STEP = 1.25;
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  class View {
    constructor(stage, {range, zoom}) {
      Object.assign(this, {stage, range, zoom, width: 0, height: 0, scale: 1, x: 0, y: 0, at: 50});
      this.halves = [...stage.querySelectorAll(".half")];
      this.images = this.halves.map(half => half.querySelector("img"));
      this.line = stage.querySelector("#line");
      this.isFitted = true;
      this.isHeld = false;
      this.hasBoth = false;
      this.pointers = new Map();
      new ResizeObserver(() => this.isFitted ? this.fit() : this.place()).observe(stage);
      this.listen();
    }

    /* Show a picture of width x height; sources are addresses, the second "" where nothing is restored yet. */
    open(width, height, blurry, restored, name) {
      const isOther = this.images[0].getAttribute("src") !== blurry;
      const isAlike = this.width === width && this.height === height;
      Object.assign(this, {width, height, hasBoth: Boolean(restored)});
      [blurry, restored].forEach((source, place) => {
        const image = this.images[place];
        image.alt = `${name}, ${["blurry", "restored"][place]}`;
        image.hidden = !source;
        if (!source) image.removeAttribute("src");
        else if (image.getAttribute("src") !== source) {
          image.src = source;
          image.parentElement.ariaBusy = true;
        }
      });
      if (isOther && !isAlike) this.fit();
      this.wipe(this.at);
    }

    close() {
      for (const image of this.images) {
        image.hidden = true;
        image.removeAttribute("src");
      }
      Object.assign(this, {width: 0, height: 0, hasBoth: false});
      this.wipe(this.at);
    }

    /* at: percent of the stage that is blurry. */
    wipe(at) {
      this.at = clamp(at, 0, 100);
      const shown = this.hasBoth && !this.isHeld ? this.at : 100;
      this.stage.style.setProperty("--at", `${shown}%`);
      this.stage.classList.toggle("both", this.hasBoth);
      this.stage.classList.toggle("held", this.isHeld);
      this.line.hidden = !this.hasBoth || this.isHeld;
      this.range.value = this.at;
      this.range.disabled = !this.hasBoth;
      this.range.setAttribute("aria-valuetext", `${Math.round(this.at)} % blurry`);
    }

    hold(isHeld) {
      this.isHeld = isHeld;
      this.wipe(this.at);
    }

    fitting() {
      const {clientWidth, clientHeight} = this.stage;
      return Math.min(1, clientWidth / this.width, clientHeight / this.height) || 1;
    }

    fit() {
      this.isFitted = true;
      this.scale = this.fitting();
      this.place();
    }

    /* Zoom to a scale about a point of the stage, its middle by default. */
    zoomTo(scale, x = this.stage.clientWidth / 2, y = this.stage.clientHeight / 2) {
      const old = this.scale, least = this.fitting();
      this.scale = clamp(scale, least, MOST);
      this.isFitted = this.scale === least && least < 1;
      this.x = x - (x - this.x) * this.scale / old;
      this.y = y - (y - this.y) * this.scale / old;
      this.place();
    }

    zoomBy(factor, x, y) {
      this.zoomTo(this.scale * factor, x, y);
    }

    move(right, down) {
      this.x += right;
      this.y += down;
      this.place();
    }

    /* Nothing but the picture where it is larger than the stage; in the middle where it is smaller. */
    place() {
      const inside = (at, size, room) => size <= room ? (room - size) / 2 : clamp(at, room - size, 0);
      const [width, height] = [this.width * this.scale, this.height * this.scale];
      this.x = inside(this.x, width, this.stage.clientWidth);
      this.y = inside(this.y, height, this.stage.clientHeight);
      for (const image of this.images) {
        image.style.width = `${width}px`;
        image.style.height = `${height}px`;
        image.style.transform = `translate(${this.x}px, ${this.y}px)`;
      }
      this.stage.classList.toggle("squares", this.scale >= SQUARES_FROM);
      this.stage.classList.toggle("movable", width > this.stage.clientWidth || height > this.stage.clientHeight);
      tryout.write(this.zoom, `${Math.round(100 * this.scale)} %`);
    }

    /* Where a pointer is on the stage. */
    point(event) {
      const box = this.stage.getBoundingClientRect();
      return {x: event.clientX - box.left, y: event.clientY - box.top};
    }

    listen() {
      const {stage} = this;
      for (const image of this.images) {
        for (const kind of ["load", "error"]) image.addEventListener(kind, () => { image.parentElement.ariaBusy = false; });
      }
      stage.addEventListener("wheel", event => {
        event.preventDefault();
        const {x, y} = this.point(event);
        const pixels = event.deltaY * (event.deltaMode === 1 ? 33 : 1);
        this.zoomBy(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.0015)), x, y); // a pinch on a touchpad comes with ctrl
      }, {passive: false});
      stage.addEventListener("dblclick", event => {
        const {x, y} = this.point(event);
        if (this.scale > this.fitting() * 1.001) this.fit();
        else this.zoomTo(Math.max(1, this.scale * 2), x, y);
      });
      stage.addEventListener("pointerdown", event => this.press(event));
      stage.addEventListener("pointermove", event => this.drag(event));
      for (const kind of ["pointerup", "pointercancel"]) {
        stage.addEventListener(kind, event => {
          this.pointers.delete(event.pointerId);
          if (!this.pointers.size) this.isWiping = false;
        });
      }
      this.range.addEventListener("input", () => this.wipe(Number(this.range.value)));
    }

    /* The line is dragged; where all of the picture is seen, so that there is nothing to move, anywhere. */
    press(event) {
      if (event.button !== 0) return;
      const point = this.point(event);
      if (!this.pointers.size) {
        const isFixed = !stageMoves(this.stage);
        this.isWiping = this.hasBoth && (this.line.contains(event.target) || isFixed);
      }
      this.pointers.set(event.pointerId, point);
      try {
        this.stage.setPointerCapture(event.pointerId);
      } catch { /* one that is up again already */ }
    }

    drag(event) {
      const old = this.pointers.get(event.pointerId);
      if (!old) return;
      const now = this.point(event);
      if (this.pointers.size === 1) {
        if (this.isWiping) this.wipe(100 * now.x / this.stage.clientWidth);
        else this.move(now.x - old.x, now.y - old.y);
      } else {
        const [, other] = [...this.pointers].find(([id]) => id !== event.pointerId);
        const apart = point => Math.hypot(point.x - other.x, point.y - other.y) || 1;
        this.zoomBy(apart(now) / apart(old), (now.x + other.x) / 2, (now.y + other.y) / 2);
        this.move((now.x - old.x) / 2, (now.y - old.y) / 2);
      }
      this.pointers.set(event.pointerId, now);
    }
  }

  const stageMoves = stage => stage.classList.contains("movable");

  Object.assign(tryout, {View, STEP});
}
