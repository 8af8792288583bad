"use strict";
/* The page put together: what is shown, keys, and what the numbers at the top say. */
{
  const BINS = 20;
  const STEP = 0.005; // of mu, by key
  const LARGE_SHARE = 0.6;
  const find = selector => document.querySelector(selector);
  const state = {mu: 0.96, method: 0, order: [], at: -1, isLarge: false};

  const shareAt = frame => (method, mu) => {
    const shares = frame.shares[method];
    return shares ? review.shareAt(shares, mu, frame.tops[method]) : null;
  };

  review.open = site => {
    review.site = {...site, scale: review.bytesOf(site.scale)};
    review.frames = site.frames.map(frame => ({...frame, shareAt: null}));
    for (const frame of review.frames) frame.shareAt = shareAt(frame);
    state.mu = site.methods[0].mu;
    review.verdicts.open(site.verdicts);
  };

  const start = () => {
    if (!review.site) {
      find("#none").textContent = "The list of frames could not be loaded. Served page: the server's terminal says why. Page from a folder: files are missing; write it again with cdg-prep view.";
      find("#none").hidden = false;
      return;
    }
    const grid = new review.Grid(find("#grid"), {open: number => enter(number)});
    const large = new review.Large(find("#large"));
    const {site} = review;

    /* What is shown */

    const shownFrames = () => {
      const words = find("#search").value.toLowerCase().split(/\s+/).filter(Boolean);
      const [least, most] = [find("#least"), find("#most")].map(field => field.value === "" ? null : Number(field.value) / 100);
      const kinds = {
        all: () => true,
        warned: frame => frame.warnings[state.method],
        empty: frame => frame.shareAt(state.method, state.mu) === 0,
        large: frame => frame.shareAt(state.method, state.mu) > LARGE_SHARE,
        unjudged: frame => !review.verdicts.get(frame.key).verdict,
        accepted: frame => review.verdicts.get(frame.key).verdict === "accept",
        rejected: frame => review.verdicts.get(frame.key).verdict === "reject",
        noted: frame => review.verdicts.get(frame.key).note,
      };
      const kind = kinds[find("#kind").value];
      const split = find("#split").value;
      return review.frames.map((_, number) => number).filter(number => {
        const frame = review.frames[number];
        const share = frame.shareAt(state.method, state.mu);
        return kind(frame) && (!split || frame.split === split)
          && words.every(word => frame.key.toLowerCase().includes(word))
          && (least === null || (share !== null && share >= least)) && (most === null || (share !== null && share <= most));
      });
    };

    const arrange = () => {
      const order = shownFrames();
      const by = find("#sort").value;
      const share = number => review.frames[number].shareAt(state.method, state.mu) ?? -1;
      if (by === "least") order.sort((a, b) => share(a) - share(b) || a - b);
      if (by === "most") order.sort((a, b) => share(b) - share(a) || a - b);
      if (by === "warned") {
        const rank = number => review.frames[number].warnings[state.method] ? 0 : 1;
        order.sort((a, b) => rank(a) - rank(b) || a - b);
      }
      state.order = order;
      if (!order.includes(grid.selected)) grid.selected = order[0] ?? -1;
      grid.show(order, by === "sequence");
      if (grid.selected >= 0 && !state.isLarge) grid.select(grid.selected);
      find("#none").hidden = order.length > 0;
      tellFigures();
    };

    /* Figures at the top: of the frames that are shown, at the mu that is set. */
    const tellFigures = () => {
      const shares = state.order.map(number => review.frames[number].shareAt(state.method, state.mu)).filter(share => share !== null);
      const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
      find("#shown").textContent = `${state.order.length} of ${review.frames.length}`;
      find("#mean").textContent = shares.length ? `${(100 * mean).toFixed(1)} %` : "-";
      const empty = shares.filter(share => share === 0).length;
      find("#empty").textContent = empty;
      find("#empty").classList.toggle("warned", empty > 0);
      find("#accepted").textContent = review.verdicts.count("accept");
      find("#rejected").textContent = review.verdicts.count("reject");
      find("#saved").textContent = review.verdicts.state();
      const bins = new Array(BINS).fill(0);
      for (const share of shares) bins[Math.min(BINS - 1, Math.floor(share * BINS))] += 1;
      const most = Math.max(...bins, 1);
      find("#bins").replaceChildren(...bins.map((count, place) => {
        const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
        const tall = count ? Math.max(4, 96 * count / most) : 0;
        for (const [name, value] of Object.entries({x: 10 * place, y: 100 - tall, width: 9, height: tall})) bar.setAttribute(name, value);
        return bar;
      }));
      find("#bins").setAttribute("aria-label", `Share of small blur per frame, 0 to 100 % in ${BINS} equal steps: ${bins.join(", ")} frames`);
    };

    /* mu and method */

    const setMu = mu => {
      if (!Number.isFinite(mu)) return;
      state.mu = Math.min(1, Math.max(0, mu));
      find("#mu-range").value = state.mu;
      if (Number(find("#mu-number").value) !== state.mu) find("#mu-number").value = Number(state.mu.toFixed(6));
      const made = site.methods[state.method].mu;
      find("#mu-reset").disabled = state.mu === made;
      find("#mu-reset").textContent = `Reset to ${review.said(made)}`;
      grid.mu = large.mu = state.mu;
      later();
    };

    let asked = false;
    const later = () => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        if (state.isLarge) large.refresh();
        else grid.refresh();
        tellFigures();
      });
    };

    const setMethod = method => {
      state.method = grid.method = large.method = method;
      setMu(site.methods[method].mu);
      arrange();
    };

    /* One frame */

    const enter = number => {
      state.isLarge = true;
      find("#large").hidden = false;
      find("#grid").inert = true;
      goTo(number);
      find("#large").focus();
    };

    const leave = () => {
      if (!state.isLarge) return;
      state.isLarge = false;
      find("#note").blur();
      find("#large").hidden = true;
      find("#grid").inert = false;
      history.replaceState(null, "", location.pathname + location.search);
      grid.refresh();
      grid.select(grid.selected);
      find("#grid").focus();
    };

    const goTo = number => {
      if (number === undefined) return;
      grid.select(number);
      if (!state.isLarge) return;
      history.replaceState(null, "", `#${encodeURIComponent(review.frames[number].key)}`);
      large.open(number);
      tellVerdict();
      const warning = review.frames[number].warnings[state.method];
      find("#large .warning").hidden = !warning;
      find("#large .warning").textContent = warning ?? "";
      find("#large .place").textContent = `${state.order.indexOf(number) + 1} of ${state.order.length}`;
    };

    const step = by => {
      const place = state.order.indexOf(grid.selected);
      goTo(state.order[Math.min(state.order.length - 1, Math.max(0, place + by))]);
    };

    const tellVerdict = () => {
      const {verdict, note, method, mu} = review.verdicts.get(review.frames[grid.selected].key);
      find("#accept").setAttribute("aria-pressed", String(verdict === "accept"));
      find("#reject").setAttribute("aria-pressed", String(verdict === "reject"));
      if (document.activeElement !== find("#note")) find("#note").value = note;
      find("#judged").textContent = verdict && mu !== undefined ? `${verdict}ed at ${method}, mu ${review.said(mu)}` : "";
    };

    /* What a verdict is given on: recorded with it. */
    const seen = () => ({method: site.methods[state.method].method, mu: Number(state.mu.toFixed(6))});

    const judge = verdict => {
      if (grid.selected < 0) return;
      const {key} = review.frames[grid.selected];
      if (!state.isLarge) grid.select(grid.selected); // judged is what is seen
      review.verdicts.set(key, {verdict, ...seen()});
      find("#said").textContent = `${key}: ${verdict ? `${verdict}ed` : "verdict removed"}`;
    };

    const toggle = verdict => judge(review.verdicts.get(review.frames[grid.selected].key).verdict === verdict ? "" : verdict);

    review.verdicts.onChange(key => {
      grid.remark(key);
      if (state.isLarge && review.frames[grid.selected]?.key === key) tellVerdict();
      tellFigures();
    });

    const setMode = mode => {
      large.mode = large.mode === mode ? "parts" : mode;
      find("#compare").setAttribute("aria-pressed", String(large.mode === "compare"));
      find("#figure11").setAttribute("aria-pressed", String(large.mode === "figure11"));
      find("#other").hidden = large.mode !== "compare";
      large.lay();
    };

    const setWipe = share => {
      large.wipe = Math.min(1, Math.max(0, share));
      find("#wipe").value = large.wipe;
      large.later();
    };

    /* Wiring */

    const fill = select => {
      select.replaceChildren(...site.methods.map(({method, folder}, place) =>
        Object.assign(document.createElement("option"), {value: place, textContent: method, title: folder})));
      select.closest("label").hidden = site.methods.length < 2;
    };
    fill(find("#method"));
    fill(find("#other-method"));
    large.other = {mu: Math.max(0, Number((state.mu - 0.06).toFixed(4))), method: site.methods.length > 1 ? 1 : 0};
    if (site.methods.length > 1) large.other.mu = site.methods[1].mu;
    find("#other-method").value = large.other.method;
    find("#other-mu").value = large.other.mu;
    const splits = [...new Set(review.frames.map(frame => frame.split))].filter(Boolean);
    find("#split").append(...splits.map(split => Object.assign(document.createElement("option"), {value: split, textContent: split})));
    find("#split").closest("label").hidden = splits.length < 2;

    find("#mu-range").addEventListener("input", event => setMu(event.target.valueAsNumber));
    find("#mu-number").addEventListener("input", event => setMu(event.target.valueAsNumber));
    find("#mu-number").addEventListener("change", () => { find("#mu-number").value = Number(state.mu.toFixed(6)); arrange(); });
    find("#mu-range").addEventListener("change", arrange);
    find("#mu-reset").addEventListener("click", () => { setMu(site.methods[state.method].mu); arrange(); });
    find("#method").addEventListener("change", event => setMethod(Number(event.target.value)));
    for (const name of ["#search", "#least", "#most"]) find(name).addEventListener("input", arrange);
    for (const name of ["#sort", "#kind", "#split"]) find(name).addEventListener("change", arrange);
    find("#download").addEventListener("click", review.verdicts.download);
    find("#accept").addEventListener("click", () => toggle("accept"));
    find("#reject").addEventListener("click", () => toggle("reject"));
    find("#note").addEventListener("input", event => {
      review.verdicts.set(review.frames[grid.selected].key, {note: event.target.value, ...seen()});
    });
    find("#previous").addEventListener("click", () => step(-1));
    find("#next").addEventListener("click", () => step(1));
    find("#close").addEventListener("click", leave);
    find("#compare").addEventListener("click", () => setMode("compare"));
    find("#figure11").addEventListener("click", () => setMode("figure11"));
    find("#opacity").addEventListener("input", event => { large.opacity = event.target.valueAsNumber; large.later(); });
    find("#wipe").addEventListener("input", event => setWipe(event.target.valueAsNumber));
    find("#other-mu").addEventListener("input", event => {
      if (!Number.isFinite(event.target.valueAsNumber)) return;
      large.other.mu = Math.min(1, Math.max(0, event.target.valueAsNumber));
      large.lay();
    });
    find("#other-method").addEventListener("change", event => {
      large.other.method = Number(event.target.value);
      large.lay();
    });
    find("#help-button").addEventListener("click", () => find("#help").showModal());
    find("#help button").addEventListener("click", () => find("#help").close());

    /* Keys */

    const nudge = by => { setMu(Number((Math.round((state.mu + by) / STEP) * STEP).toFixed(4))); if (!state.isLarge) arrange(); };
    const keys = {
      j: () => step(1), k: () => step(-1),
      Home: () => step(-state.order.length), End: () => step(state.order.length),
      PageUp: () => step(-grid.columns * grid.rowsInSight()), PageDown: () => step(grid.columns * grid.rowsInSight()),
      a: () => judge("accept"), r: () => judge("reject"), u: () => judge(""),
      " ": () => state.isLarge ? leave() : grid.selected >= 0 && enter(grid.selected),
      Enter: () => !state.isLarge && grid.selected >= 0 && enter(grid.selected),
      Escape: leave,
      n: () => { if (!state.isLarge && grid.selected >= 0) enter(grid.selected); find("#note").focus(); },
      "[": () => nudge(-STEP), "]": () => nudge(STEP),
      "+": () => large.zoom(1.5), "=": () => large.zoom(1.5), "-": () => large.zoom(1 / 1.5),
      0: () => large.reset(), 1: () => large.real(),
      w: () => setWipe(large.wipe < 0.5 ? 1 : 0),
      c: () => state.isLarge && setMode("compare"),
      f: () => state.isLarge && setMode("figure11"),
      "/": () => { leave(); find(".filters").open = true; find("#search").focus(); },
      "?": () => find("#help").showModal(),
      ArrowRight: () => state.isLarge ? large.pan(60, 0) : step(1),
      ArrowLeft: () => state.isLarge ? large.pan(-60, 0) : step(-1),
      ArrowDown: () => state.isLarge ? large.pan(0, 60) : step(grid.columns),
      ArrowUp: () => state.isLarge ? large.pan(0, -60) : step(-grid.columns),
    };
    document.addEventListener("keydown", event => {
      const {target, key} = event;
      if (event.ctrlKey || event.metaKey || event.altKey || find("#help").open) return;
      const isText = target.matches("input:not([type=range]), select, textarea, summary");
      if (isText) {
        if (key === "Escape" || (key === "Enter" && target.id === "note")) {
          target.blur();
          (state.isLarge ? find("#large") : find("#grid")).focus();
          event.preventDefault();
        }
        return;
      }
      if (target.matches("button") && (key === " " || key === "Enter")) return;
      if (target.matches("input[type=range]") && key.startsWith("Arrow")) return;
      const act = keys[key];
      if (!act) return;
      event.preventDefault();
      act();
    });

    if (matchMedia("(min-width: 861px)").matches) find(".filters").open = true;
    setMu(state.mu);
    arrange();
    find("#grid").focus({preventScroll: true}); // a narrow window begins at the top of the page
    const key = decodeURIComponent(location.hash.slice(1));
    const number = review.frames.findIndex(frame => frame.key === key);
    if (number >= 0) enter(number);
    review.state = state;
    review.parts = {grid, large};
  };

  document.addEventListener("DOMContentLoaded", start);
}
