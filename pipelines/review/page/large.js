"use strict";
/* One frame, large: panels that zoom and pan together, and the mask at any mu. */
{
  const NEAREST_FROM = 2; // screen pixels a pixel: from here on pixels are shown as squares
  const MOST = 40;
  const NOTHING = [0, 0, 0, 0];
  const BLACK = [0, 0, 0, 255];
  const {said} = review;

  class Large {
    constructor(element) {
      this.element = element;
      this.panels = element.querySelector(".panels");
      this.readout = element.querySelector(".readout");
      this.chart = element.querySelector(".histogram");
      this.mode = "parts";
      this.opacity = 0.42;
      this.wipe = 0;
      this.mu = 0.96;
      this.method = 0;
      this.other = {mu: 0.9, method: 0};
      this.view = null; // {scale, x, y}: screen pixels a pixel, and the frame's point in the middle of a panel
      this.views = []; // what is on the screen: {canvas, draw}
      new ResizeObserver(() => this.later()).observe(this.panels);
      this.listen();
    }

    /* The frame at hand; null closes. */
    async open(number) {
      this.number = number;
      const frame = review.frames[number];
      this.element.querySelector(".frame-name").textContent = frame.key;
      this.element.setAttribute("aria-busy", "true");
      try {
        const whole = await review.whole(number);
        if (this.number !== number) return;
        const isAlike = this.whole?.width === whole.width && this.whole?.height === whole.height;
        this.whole = whole;
        this.made = new Map();
        if (!isAlike) this.view = null;
        this.lay();
      } catch (error) {
        if (this.number !== number) return;
        this.whole = null;
        this.panels.replaceChildren();
        this.readout.textContent = `${frame.key}: ${error.message}`;
      } finally {
        if (this.number === number) this.element.setAttribute("aria-busy", "false");
      }
    }

    /* Canvases that depend on method and mu, made once. */
    cached(kind, method, mu, make) {
      const name = `${kind} ${method} ${mu}`;
      if (!this.made.has(name)) {
        for (const old of this.made.keys()) if (this.made.size > 24 && !old.startsWith("colour")) this.made.delete(old);
        this.made.set(name, make());
      }
      return this.made.get(name);
    }

    mask(method, mu) {
      return this.cached("mask", method, mu, () => review.maskOf(this.whole.codes[method], mu));
    }

    painted(kind, method, mu, marked, unmarked) {
      const {width, height} = this.whole;
      return this.cached(kind, method, mu, () => review.paint(this.mask(method, mu), width, height, marked, unmarked));
    }

    /* Equation 15: what of the sharp frame a component shows; the rest is black. */
    target(kind, method, mu) {
      const {width, height, sharp} = this.whole;
      return this.cached(kind, method, mu, () => {
        const canvas = review.newCanvas(width, height);
        const context = canvas.getContext("2d");
        context.drawImage(sharp, 0, 0);
        const colours = kind === "sgt" ? [NOTHING, BLACK] : [BLACK, NOTHING];
        context.drawImage(this.painted(`not ${kind}`, method, mu, ...colours), 0, 0);
        return canvas;
      });
    }

    coloured(method) {
      const {width, height, codes} = this.whole;
      return this.cached("colour", method, 0, () => review.colour(codes[method], width, height, review.site.scale));
    }

    /* Lay the panels out anew: another frame or another mode. */
    lay() {
      if (!this.whole) return;
      this.views = review.panelsOf(this).map(({title, draw, isScaled}) => {
        const figure = document.createElement("figure");
        const caption = document.createElement("figcaption");
        const name = Object.assign(document.createElement("span"), {textContent: title});
        caption.append(name);
        if (isScaled) caption.append(this.scaleBar());
        const canvas = document.createElement("canvas");
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", `${title} of ${review.frames[this.number].key}`);
        const cross = Object.assign(document.createElement("i"), {className: "cross", hidden: true});
        figure.append(caption, canvas, cross);
        return {figure, canvas, cross, draw, name: title === "Blurry" ? name : null};
      });
      this.panels.replaceChildren(...this.views.map(({figure}) => figure));
      this.drawAll();
    }

    scaleBar() {
      const bar = review.newCanvas(256, 1);
      bar.className = "scale-bar";
      review.site.scale.length && bar.getContext("2d").drawImage(
        review.colour(Uint16Array.from({length: 256}, (_, at) => at << 8), 256, 1, review.site.scale), 0, 0,
      );
      const box = Object.assign(document.createElement("span"), {className: "scale"});
      const marker = Object.assign(document.createElement("i"), {className: "marker"});
      this.marker = marker;
      box.append("0", Object.assign(document.createElement("span"), {className: "track"}), "1");
      box.querySelector(".track").append(bar, marker);
      return box;
    }

    later() {
      if (this.asked) return;
      this.asked = true;
      requestAnimationFrame(() => { this.asked = false; this.drawAll(); });
    }

    drawAll() {
      if (!this.whole || !this.views.length || this.element.hidden) return;
      const ratio = window.devicePixelRatio || 1;
      for (const {canvas, draw, name} of this.views) {
        if (name) name.textContent = this.wipe === 0 ? "Blurry" : this.wipe === 1 ? "Sharp (wiped)" : "Sharp | blurry";
        const box = canvas.getBoundingClientRect();
        const [width, height] = [Math.max(1, Math.round(box.width * ratio)), Math.max(1, Math.round(box.height * ratio))];
        if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, {width, height});
        const {scale, x, y} = this.current(canvas);
        const context = canvas.getContext("2d");
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.clearRect(0, 0, width, height);
        context.imageSmoothingEnabled = scale < NEAREST_FROM;
        context.imageSmoothingQuality = "high";
        context.setTransform(scale, 0, 0, scale, width / 2 - x * scale, height / 2 - y * scale);
        draw(context);
      }
      if (this.marker) this.marker.style.left = `${100 * this.mu}%`;
      this.tell();
    }

    fit(canvas) {
      return Math.min(canvas.width / this.whole.width, canvas.height / this.whole.height);
    }

    current(canvas) {
      return this.view ?? {scale: this.fit(canvas), x: this.whole.width / 2, y: this.whole.height / 2};
    }

    /* The frame's x at the left and right end of what a panel shows. */
    edges(canvas) {
      const {scale, x} = this.current(canvas);
      const left = Math.max(0, x - canvas.width / 2 / scale);
      return {left, right: Math.min(this.whole.width, x + canvas.width / 2 / scale)};
    }

    at(event, canvas) {
      const box = canvas.getBoundingClientRect();
      const ratio = canvas.width / box.width;
      const {scale, x, y} = this.current(canvas);
      return {
        x: x + ((event.clientX - box.left) * ratio - canvas.width / 2) / scale,
        y: y + ((event.clientY - box.top) * ratio - canvas.height / 2) / scale,
      };
    }

    zoom(factor, canvas = this.views[0]?.canvas, point = null) {
      if (!this.whole || !canvas) return;
      const {scale, x, y} = this.current(canvas);
      const fit = this.fit(canvas);
      const next = Math.min(MOST, Math.max(fit, scale * factor));
      if (next === fit) this.view = null;
      else {
        const focus = point ?? {x, y};
        this.view = {scale: next, x: focus.x + (x - focus.x) * scale / next, y: focus.y + (y - focus.y) * scale / next};
      }
      this.later();
    }

    pan(byX, byY) {
      const canvas = this.views[0]?.canvas;
      if (!canvas || !this.view) return;
      const {scale, x, y} = this.view;
      const clamp = (value, most) => Math.min(most, Math.max(0, value));
      this.view = {scale, x: clamp(x + byX / scale, this.whole.width), y: clamp(y + byY / scale, this.whole.height)};
      this.later();
    }

    reset() {
      this.view = null;
      this.later();
    }

    real(canvas = this.views[0]?.canvas, point = null) {
      if (!this.whole || !canvas) return;
      const {x, y} = point ?? this.current(canvas);
      this.view = {scale: 1, x, y};
      this.later();
    }

    listen() {
      let drag = null;
      const canvasOf = event => event.target.closest?.(".panels canvas:not(.scale-bar)");
      this.panels.addEventListener("wheel", event => {
        const canvas = canvasOf(event);
        if (!canvas) return;
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY / 300), canvas, this.at(event, canvas));
      }, {passive: false});
      this.panels.addEventListener("pointerdown", event => {
        const canvas = canvasOf(event);
        if (!canvas || event.button !== 0) return;
        canvas.setPointerCapture(event.pointerId);
        drag = {x: event.clientX, y: event.clientY};
      });
      this.panels.addEventListener("pointermove", event => {
        const canvas = canvasOf(event);
        if (!canvas || !this.whole) return;
        if (drag) {
          const ratio = window.devicePixelRatio || 1;
          this.pan((drag.x - event.clientX) * ratio, (drag.y - event.clientY) * ratio);
          drag = {x: event.clientX, y: event.clientY};
        }
        this.point = this.at(event, canvas);
        this.tell();
      });
      this.panels.addEventListener("pointerup", () => { drag = null; });
      this.panels.addEventListener("pointercancel", () => { drag = null; });
      this.panels.addEventListener("pointerleave", () => { this.point = null; this.tell(); });
      this.panels.addEventListener("dblclick", event => {
        const canvas = canvasOf(event);
        if (!canvas) return;
        if (this.view) this.reset();
        else this.real(canvas, this.at(event, canvas));
      });
    }

    /* The point under the pointer, in every panel. */
    drawCrosses() {
      for (const {canvas, cross} of this.views) {
        const {scale, x, y} = this.current(canvas);
        const ratio = canvas.width / canvas.clientWidth;
        const left = this.point && ((this.point.x - x) * scale + canvas.width / 2) / ratio;
        const top = this.point && ((this.point.y - y) * scale + canvas.height / 2) / ratio;
        cross.hidden = !this.point || left < 0 || top < 0 || left > canvas.clientWidth || top > canvas.clientHeight;
        cross.style.left = `${canvas.offsetLeft + left}px`;
        cross.style.top = `${canvas.offsetTop + top}px`;
      }
    }

    /* Share of the mask, and S under the pointer. */
    tell() {
      if (!this.whole) return;
      this.drawCrosses();
      const {width, height} = this.whole;
      const codes = this.whole.codes[this.method];
      if (!codes) {
        this.readout.textContent = "this method has no map of the frame";
        return;
      }
      const share = this.cached("share", this.method, this.mu, () => review.shareOf(this.mask(this.method, this.mu)));
      let text = `${(100 * share).toFixed(2)} % small blur at mu ${said(this.mu)}`;
      const {method, mu} = this.other;
      if (this.mode === "compare" && this.whole.codes[method]) {
        const other = this.cached("share", method, mu, () => review.shareOf(this.mask(method, mu)));
        const by = method === this.method ? "" : ` by ${review.site.methods[method].method}`;
        text += `, ${(100 * other).toFixed(2)} %${by} at mu ${said(mu)}`;
      }
      if (this.point) {
        const [x, y] = [Math.floor(this.point.x), Math.floor(this.point.y)];
        if (x >= 0 && y >= 0 && x < width && y < height) {
          const code = codes[y * width + x];
          text += ` · (${x}, ${y}) S ${(code / review.LEVELS).toFixed(4)}, M ${code >= review.leastCode(this.mu) ? 1 : 0}`;
        }
      }
      this.readout.textContent = text;
      this.drawHistogram(codes);
    }

    drawHistogram(codes) {
      const bins = this.cached("bins", this.method, 0, () => review.histogramOf(codes));
      const canvas = this.chart;
      const context = canvas.getContext("2d");
      const style = getComputedStyle(canvas);
      const most = Math.log1p(bins.reduce((a, b) => Math.max(a, b)));
      context.clearRect(0, 0, canvas.width, canvas.height);
      const step = canvas.width / 256;
      bins.forEach((count, at) => {
        context.fillStyle = at / 255 > this.mu ? style.getPropertyValue("--mask") : style.getPropertyValue("--quiet");
        const tall = canvas.height * Math.log1p(count) / most;
        context.fillRect(at * step, canvas.height - tall, Math.max(1, step), tall);
      });
      context.fillStyle = style.getPropertyValue("--ink");
      context.fillRect(canvas.width * this.mu - 0.5, 0, 1.5, canvas.height);
    }

    /* Another mu, method, opacity or wipe. */
    refresh() {
      if (this.mode === "parts") this.later();
      else this.lay();
    }
  }

  review.Large = Large;
}
