"use strict";
/* The grid: only the cells on the screen exist. */
{
  const GAP = 12;
  const CAPTION = 28; // pixels under a thumb
  const HEAD = 34; // of a sequence
  const LEAST_WIDTH = 176; // of a thumb
  const MARGIN = 400; // pixels beyond the screen that are drawn too

  const FAST = 200; // pixels between two frames of scrolling: so fast nobody looks, and thumbs wait
  const PAUSE = 100; // milliseconds
  const BUDGET = 4; // milliseconds of a frame for drawing thumbs

  const TINT = [255, 0, 200, 107]; // magenta, 42 %
  const NOTHING = [0, 0, 0, 0];

  class Grid {
    constructor(element, actions) {
      this.element = element;
      this.actions = actions;
      this.inner = element.querySelector(".inner");
      this.cells = new Map(); // number -> element
      this.heads = new Map(); // row -> element
      this.spare = [];
      this.bare = new Set(); // cells whose thumb is not drawn
      this.top = 0;
      this.order = [];
      this.ranks = new Map(); // number -> place in the order, from 1
      this.rows = [];
      this.selected = -1;
      this.mu = 0.96;
      this.method = 0;
      this.scratch = review.newCanvas(1, 1);
      element.addEventListener("scroll", () => this.later(), {passive: true});
      new ResizeObserver(() => { this.arrange(); }).observe(element);
      element.addEventListener("click", event => {
        const cell = event.target.closest(".cell");
        if (!cell) return;
        this.select(Number(cell.dataset.number));
        actions.open(Number(cell.dataset.number));
      });
    }

    /* Show these frames, in this order; by sequence with a head above each. */
    show(order, hasHeads) {
      this.order = order;
      this.ranks = new Map(order.map((number, place) => [number, place + 1]));
      this.hasHeads = hasHeads;
      this.arrange();
    }

    arrange() {
      const width = this.element.clientWidth - 2 * GAP;
      if (width <= 0) return;
      this.columns = Math.max(1, Math.floor((width + GAP) / (LEAST_WIDTH + GAP)));
      this.width = Math.floor((width + GAP) / this.columns) - GAP;
      this.height = Math.round(this.width / Math.min(2.4, Math.max(0.6, review.site.aspect)));
      this.rows = [];
      this.places = new Map(); // number -> row
      let top = GAP;
      let before = null;
      for (const number of this.order) {
        const {sequence} = review.frames[number];
        if (this.hasHeads && sequence !== before) {
          this.rows.push({top, height: HEAD, head: sequence});
          top += HEAD;
          before = sequence;
        }
        let row = this.rows.at(-1);
        if (!row || row.head !== undefined || row.numbers.length === this.columns) {
          row = {top, height: this.height + CAPTION, numbers: []};
          this.rows.push(row);
          top += row.height + GAP;
        }
        this.places.set(number, this.rows.length - 1);
        row.numbers.push(number);
      }
      this.inner.style.height = `${top}px`;
      for (const cell of this.cells.values()) this.drop(cell);
      this.cells.clear();
      for (const head of this.heads.values()) head.remove();
      this.heads.clear();
      this.draw();
    }

    rowsInSight() {
      return Math.max(1, Math.floor(this.element.clientHeight / (this.height + CAPTION + GAP)));
    }

    later() {
      if (this.asked) return;
      this.asked = true;
      requestAnimationFrame(() => { this.asked = false; this.draw(); });
    }

    drop(cell) {
      const number = Number(cell.dataset.number);
      review.forget(`thumbs/${number}.js`);
      this.bare.delete(cell);
      cell.remove();
      this.spare.push(cell);
    }

    /* Draw thumbs a few at a time, so that scrolling stays smooth, and none while it is fast. */
    fillLater(wait = 0) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => requestAnimationFrame(() => this.fill()), wait);
    }

    fill() {
      const end = performance.now() + BUDGET;
      for (const cell of this.bare) {
        if (performance.now() > end) {
          this.fillLater();
          return;
        }
        this.bare.delete(cell);
        const number = Number(cell.dataset.number);
        const thumb = review.heldThumb(number);
        if (thumb) this.drawThumb(cell, thumb);
        else this.fetch(cell, number);
      }
    }

    fetch(cell, number) {
      const isStill = () => Number(cell.dataset.number) === number && cell.isConnected;
      review.thumb(number).then(
        () => { if (isStill()) { this.bare.add(cell); this.fillLater(); } },
        () => { if (isStill()) cell.querySelector(".share").textContent = "cannot be read"; },
      );
    }

    /* Bring the cells that exist in line with what is on the screen. */
    draw() {
      const moved = Math.abs(this.element.scrollTop - this.top);
      this.top = this.element.scrollTop;
      const from = this.element.scrollTop - MARGIN;
      const to = this.element.scrollTop + this.element.clientHeight + MARGIN;
      let low = 0;
      let high = this.rows.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (this.rows[middle].top + this.rows[middle].height < from) low = middle + 1;
        else high = middle;
      }
      const wanted = new Set();
      const heads = new Set();
      let last = low;
      for (; last < this.rows.length && this.rows[last].top < to; last += 1) {
        const row = this.rows[last];
        if (row.head !== undefined) heads.add(last);
        else for (const number of row.numbers) wanted.add(number);
      }
      for (const [number, cell] of this.cells) {
        if (wanted.has(number)) continue;
        this.drop(cell);
        this.cells.delete(number);
      }
      for (const [row, head] of this.heads) {
        if (heads.has(row)) continue;
        head.remove();
        this.heads.delete(row);
      }
      for (const row of heads) if (!this.heads.has(row)) this.heads.set(row, this.makeHead(this.rows[row]));
      for (let place = low; place < last; place += 1) {
        const row = this.rows[place];
        (row.numbers ?? []).forEach((number, column) => {
          if (!this.cells.has(number)) this.cells.set(number, this.makeCell(number, row.top, column));
        });
      }
      if (this.bare.size) this.fillLater(moved > FAST ? PAUSE : 0);
    }

    makeHead(row) {
      const head = document.createElement("h2");
      head.className = "sequence key";
      head.textContent = row.head || "(no sequence)";
      head.style.transform = `translate(${GAP}px, ${row.top}px)`;
      this.inner.append(head);
      return head;
    }

    makeCell(number, top, column) {
      const cell = this.spare.pop() ?? this.newCell();
      const frame = review.frames[number];
      cell.dataset.number = number;
      cell.id = `frame-${number}`;
      cell.style.transform = `translate(${GAP + column * (this.width + GAP)}px, ${top}px)`;
      cell.style.width = `${this.width}px`;
      cell.setAttribute("aria-posinset", this.ranks.get(number));
      cell.setAttribute("aria-setsize", this.order.length);
      cell.querySelector(".thumb").style.height = `${this.height}px`;
      for (const image of cell.querySelectorAll("img")) image.removeAttribute("src");
      cell.querySelector(".name").textContent = frame.name;
      cell.title = frame.key;
      this.mark(cell);
      this.bare.add(cell);
      this.inner.append(cell);
      return cell;
    }

    newCell() {
      const cell = document.createElement("div");
      cell.className = "cell";
      cell.setAttribute("role", "option");
      // Images, not canvases: each of these would be a layer of its own, and a hundred of them scroll badly.
      const thumb = Object.assign(document.createElement("div"), {className: "thumb"});
      for (const className of ["photo", "tint"]) thumb.append(Object.assign(document.createElement("img"), {className, alt: "", decoding: "async"}));
      const line = document.createElement("p");
      for (const name of ["name", "share"]) line.append(Object.assign(document.createElement("span"), {className: name}));
      const bar = Object.assign(document.createElement("i"), {className: "bar"});
      bar.append(document.createElement("b"));
      cell.append(thumb, bar, line);
      return cell;
    }

    /* What can change while a cell stands: share, verdict, warning, selection. */
    mark(cell) {
      const number = Number(cell.dataset.number);
      const frame = review.frames[number];
      const share = frame.shareAt(this.method, this.mu);
      const {verdict, note} = review.verdicts.get(frame.key);
      const warning = frame.warnings[this.method];
      cell.querySelector(".share").textContent = share === null ? "no map" : `${(100 * share).toFixed(share && share < 0.01 ? 2 : 1)} %`;
      cell.querySelector(".bar b").style.width = `${100 * (share ?? 0)}%`;
      cell.dataset.verdict = verdict;
      cell.classList.toggle("noted", Boolean(note));
      cell.classList.toggle("warned", Boolean(warning));
      const said = [frame.key, share === null ? "no map" : `${(100 * share).toFixed(1)} % small blur`, verdict, warning];
      cell.setAttribute("aria-label", said.filter(Boolean).join(", "));
      cell.setAttribute("aria-selected", String(number === this.selected));
    }

    drawThumb(cell, {image, width, height, maps}) {
      const [photo, tint] = cell.querySelectorAll("img");
      if (photo.src !== image) photo.src = image;
      const codes = maps[this.method];
      if (!codes) tint.removeAttribute("src");
      else tint.src = review.paint(review.maskOf(codes, this.mu), width, height, TINT, NOTHING, this.scratch).toDataURL();
    }

    /* Another mu or method, or another verdict: the cells stay where they are. */
    refresh() {
      for (const [number, cell] of this.cells) {
        this.mark(cell);
        const thumb = review.heldThumb(number);
        if (thumb) this.drawThumb(cell, thumb);
      }
    }

    remark(key) {
      for (const [number, cell] of this.cells) if (review.frames[number].key === key) this.mark(cell);
    }

    select(number) {
      const before = this.cells.get(this.selected);
      this.selected = number;
      if (before) this.mark(before);
      const row = this.rows[this.places?.get(number)];
      if (!row) return;
      const {scrollTop, clientHeight} = this.element;
      if (row.top - HEAD < scrollTop) this.element.scrollTop = row.top - HEAD - GAP;
      else if (row.top + row.height > scrollTop + clientHeight) this.element.scrollTop = row.top + row.height + GAP - clientHeight;
      this.draw();
      const cell = this.cells.get(number);
      if (cell) {
        this.mark(cell);
        this.element.setAttribute("aria-activedescendant", cell.id);
      }
    }
  }

  review.Grid = Grid;
}
