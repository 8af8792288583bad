"use strict";
/* The page put together: which picture is chosen, where files come from, keys. */
{
  const WIPE_STEP = 2, MOVE_STEP = 60; // percent, pixels
  const find = selector => document.querySelector(selector);
  const {queue, sending, write} = tryout;
  const view = new tryout.View(find("#stage"), {range: find("#wipe"), zoom: find("#zoom")});
  const parts = new tryout.Parts(find("#branches"), find("#ask"));
  const list = new tryout.List(find("#list"), {choose: number => choose(number), remove: number => remove(number)});
  const strength = find("#strength");
  const states = new Map(); // number -> state that was said
  const wishes = new Map(); // number -> strength that this tab asks for, until the server's list has it
  let chosen = 0, refusal = "", sent = Promise.resolve(), unsent = 0; // the last strength sent, and how many are not

  /* The chosen picture */

  const choose = number => {
    chosen = list.chosen = number;
    list.show(queue.all());
    list.reveal(number);
    showChosen();
  };

  const remove = number => {
    const all = queue.all(), at = all.findIndex(one => one.number === number);
    const next = all[at + 1] ?? all[at - 1];
    if (number === chosen) chosen = list.chosen = next?.number ?? 0;
    const row = list.rows.get((next ?? {}).number);
    (row?.pick ?? find("#choose")).focus();
    queue.remove(number);
  };

  const strengthOf = one => wishes.get(one.number) ?? one.strength;

  const showChosen = () => {
    const one = queue.find(chosen);
    find("#empty").hidden = Boolean(one);
    find("#chosen").hidden = !one;
    parts.show(one);
    if (!one) return view.close();
    const {state} = one.restoring, path = `pictures/${one.number}`, isDone = state === "done";
    const query = `?strength=${strengthOf(one)}`;
    showStrength(one);
    write(find("#name"), one.name);
    find("#name").title = one.name;
    write(find("#facts"), `${tryout.factsOf(one)}${isDone ? `, ${tryout.stateOf(one.restoring)}` : ""}`);
    find("#download").hidden = !isDone;
    if (isDone) find("#download").href = `${path}/download${query}`;
    if (one.width) view.open(one.width, one.height, `${path}/blurry`, isDone ? `${path}/restored${query}` : "", one.name);
    else view.close();
    for (const tool of document.querySelectorAll(".tools button")) tool.disabled = !one.width;
    find("#hold").disabled = strength.disabled = find("#strength-all").disabled = !isDone;
    const note = find("#note");
    note.hidden = isDone;
    note.classList.toggle("wrong", state === "failed");
    write(note, isDone ? "" : tryout.stateOf(one.restoring));
    find("#shrunk").hidden = one.scale === 1;
    write(find("#shrunk"), one.scale === 1 ? "" : `shown at ${Math.round(100 * one.scale)} % of its size; the download has full size`);
    return undefined;
  };

  let slid = ""; // picture and strength that the slider was set to: while it is dragged, neither changes
  const showStrength = one => {
    const now = `${one.number} ${strengthOf(one)}`;
    if (now !== slid) strength.value = strengthOf(one);
    slid = now;
    writeStrength();
  };
  const writeStrength = () => write(find("#strength-value"), Number(strength.value).toFixed(2));

  const say = text => { find("#said").textContent = text; };

  const sayChanges = pictures => {
    for (const one of pictures) {
      const {state} = one.restoring;
      const isNews = states.has(one.number) && states.get(one.number) !== state && ["working", "done", "failed"].includes(state);
      if (isNews) say(`${one.name}: ${state === "working" ? "restoring" : tryout.stateOf(one.restoring)}`);
      states.set(one.number, state);
    }
  };

  queue.onChange((pictures, trouble) => {
    if (!unsent) wishes.clear();
    if (!pictures.some(one => one.number === chosen)) chosen = list.chosen = pictures[0]?.number ?? 0;
    list.show(pictures);
    showChosen();
    sayChanges(pictures);
    const done = pictures.filter(one => one.restoring.state === "done").length;
    find("#download-all").hidden = done < 2;
    write(find("#download-all"), `Download all ${done} (zip)`);
    find("#strength-all").hidden = pictures.length < 2;
    find("#trouble").hidden = !(trouble || refusal);
    write(find("#trouble"), trouble || refusal);
  });
  queue.onRestart(() => {
    chosen = list.chosen = 0;
    states.clear();
    wishes.clear();
    list.show([]);
    parts.clear();
    view.close();
  });

  /* Where files come from */

  const add = files => {
    refusal = "";
    if (files.length) sending.add(files);
  };
  sending.onFirst(number => { chosen = list.chosen = number; });
  sending.onRefusal(reason => {
    refusal = reason;
    queue.ask();
  });

  find("#choose").addEventListener("click", () => find("#file").click());
  find("#file").addEventListener("change", event => {
    add([...event.target.files]);
    event.target.value = ""; // the same file may be chosen again
  });
  document.addEventListener("paste", event => add([...event.clipboardData.files]));

  const hasFiles = event => event.dataTransfer?.types.includes("Files");
  let depth = 0; // of elements that the pointer is within
  const follow = by => {
    depth = Math.max(0, depth + by);
    find("#drop").hidden = depth === 0;
  };
  document.addEventListener("dragenter", event => hasFiles(event) && follow(1));
  document.addEventListener("dragleave", event => hasFiles(event) && follow(-1));
  document.addEventListener("dragover", event => event.preventDefault());
  document.addEventListener("drop", async event => {
    event.preventDefault();
    follow(-depth);
    add(await sending.filesOf(event.dataTransfer.items));
  });

  /* Strength */

  const setStrength = (pictures, send) => {
    const value = Number(strength.value);
    for (const one of pictures) wishes.set(one.number, value);
    showChosen();
    unsent += 1;
    sent = sent.then(() => send(value)).finally(() => { unsent -= 1; }); // one after another, so that the last one stays
  };
  strength.addEventListener("input", writeStrength);
  strength.addEventListener("change", () => { // when the slider is let go
    const number = chosen;
    setStrength([queue.find(number)], value => queue.setStrength(number, value));
  });
  find("#strength-all").addEventListener("click", () => setStrength(queue.all(), queue.setStrengthOfAll));

  /* Buttons and keys */

  const step = by => {
    const all = queue.all(), next = all[all.findIndex(one => one.number === chosen) + by];
    if (next) choose(next.number);
  };
  const help = find("#help");
  const buttons = {
    "#in": () => view.zoomBy(tryout.STEP),
    "#out": () => view.zoomBy(1 / tryout.STEP),
    "#fit": () => view.fit(),
    "#one": () => view.zoomTo(1),
    "#help-button": () => help.showModal(),
    "#help button": () => help.close(),
  };
  for (const [selector, act] of Object.entries(buttons)) find(selector).addEventListener("click", act);
  find("#hold").addEventListener("pointerdown", () => view.hold(true));
  for (const kind of ["pointerup", "pointerleave", "pointercancel"]) find("#hold").addEventListener(kind, () => view.hold(false));

  const keys = {
    ArrowLeft: () => view.wipe(view.at - WIPE_STEP), ArrowRight: () => view.wipe(view.at + WIPE_STEP),
    "+": buttons["#in"], "=": buttons["#in"], "-": buttons["#out"], 0: buttons["#fit"], 1: buttons["#one"],
    b: () => view.hold(true), j: () => step(1), k: () => step(-1), o: () => find("#file").click(),
    d: () => find("#download").hidden || find("#download").click(), "?": buttons["#help-button"],
  };
  const moves = {ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    if (event.target === strength && Object.hasOwn(moves, event.key)) return;
    const isMove = event.shiftKey && moves[event.key];
    if (!isMove && !Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    if (isMove) view.move(...moves[event.key].map(way => way * MOVE_STEP));
    else keys[event.key]();
  });
  document.addEventListener("keyup", event => event.key.toLowerCase() === "b" && view.hold(false));
  window.addEventListener("blur", () => view.hold(false));

  tryout.parts = {view, list, chosen: () => chosen};
  queue.ask();
}
