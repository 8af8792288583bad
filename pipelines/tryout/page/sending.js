"use strict";
/* Files on their way to the server: first their names, which fixes their place in the list, then one after another their
   bytes. A server that does not answer is asked again once it is back. */
{
  const MOST = 100; // files offered at once, as many as the server takes
  const offered = []; // files that have no number yet
  const numbered = []; // {number, file}
  let isSending = false, onFirst = () => {}, onRefusal = () => {};

  const offer = async () => {
    const files = offered.slice(0, MOST);
    const answer = await fetch("pictures", {
      method: "POST",
      headers: {"Content-Type": "application/json"},
      body: JSON.stringify({files: files.map(({name, size}) => ({name, size}))}),
    });
    offered.splice(0, files.length);
    if (answer.status === 409) {
      offered.length = 0;
      onRefusal((await answer.json()).reason);
    } else if (answer.ok) {
      const {numbers} = await answer.json();
      numbers.forEach((number, place) => numbered.push({number, file: files[place]}));
      onFirst(numbers[0]);
      await tryout.queue.ask();
    }
  };

  const send = async () => {
    const {number, file} = numbered[0];
    const listed = tryout.queue.find(number);
    if (listed?.restoring.state === "sending") {
      let body;
      try {
        body = await file.arrayBuffer(); // a file that is gone fails here, and is no trouble of the server's
      } catch {
        body = new ArrayBuffer(0);
      }
      await fetch(`pictures/${number}`, {method: "PUT", headers: {"Content-Type": "application/octet-stream"}, body});
      tryout.queue.ask();
    }
    numbered.shift();
  };

  const pump = async () => {
    if (isSending) return;
    isSending = true;
    try {
      while (offered.length || numbered.length) await (offered.length ? offer() : send());
    } catch {
      tryout.queue.ask(); // which says what is wrong, and calls this again when it is mended
    } finally {
      isSending = false;
    }
  };

  tryout.queue.onChange((_, trouble) => trouble || pump());
  tryout.queue.onRestart(() => {
    offered.unshift(...numbered.splice(0).map(({file}) => file)); // their numbers were the other server's
  });

  /* The files of a drop, those in folders too; of these only pictures. */
  const filesOf = async items => {
    const kinds = document.body.dataset.kinds.split(",");
    const found = [];
    const walk = async (entry, isInside) => {
      if (entry.isDirectory) {
        const reader = entry.createReader();
        for (let some = [1]; some.length;) {
          some = await new Promise((done, failed) => reader.readEntries(done, failed));
          for (const each of some) await walk(each, true);
        }
      } else if (!isInside || kinds.some(kind => entry.name.toLowerCase().endsWith(kind))) {
        found.push(await new Promise((done, failed) => entry.file(done, failed)));
      }
    };
    const entries = [...items].filter(item => item.kind === "file").map(item => item.webkitGetAsEntry?.() ?? item.getAsFile());
    for (const entry of entries) {
      try {
        if (entry instanceof File) found.push(entry);
        else if (entry) await walk(entry, false);
      } catch { /* one that cannot be read; the others go on */ }
    }
    return found;
  };

  tryout.sending = {
    filesOf,
    add: files => {
      offered.push(...files);
      pump();
    },
    onFirst: listener => { onFirst = listener; },
    onRefusal: listener => { onRefusal = listener; },
  };
}
