"use strict";
/* Files of the review as scripts, which a browser also loads from a disk: thumbs/N.js, frames/N.js. */
{
  const AT_ONCE = 4;
  const KEPT = 600; // thumbs
  const waiting = []; // the newest last: what is on the screen now comes first
  const wanted = new Map(); // name -> {promise, resolve, reject}
  const kept = new Map(); // in the order of their last use
  let active = 0;

  const next = () => {
    while (active < AT_ONCE && waiting.length) {
      const name = waiting.pop();
      const script = document.createElement("script");
      active += 1;
      const end = error => {
        active -= 1;
        script.remove();
        const want = wanted.get(name);
        wanted.delete(name);
        if (want && error) want.reject(error);
        next();
      };
      script.onload = () => end(new Error(`${name} says nothing`));
      script.onerror = () => end(new Error(`${name} cannot be read`));
      script.src = `${name}`;
      document.head.append(script);
    }
  };

  const load = name => {
    if (wanted.has(name)) return wanted.get(name).promise;
    const want = {};
    want.promise = new Promise((resolve, reject) => Object.assign(want, {resolve, reject}));
    wanted.set(name, want);
    waiting.push(name);
    next();
    return want.promise;
  };

  /* Called by the loaded scripts. */
  review.give = (name, content) => {
    const want = wanted.get(name);
    wanted.delete(name);
    if (want) want.resolve(content);
  };

  /* Not wanted any more, unless it is on its way. */
  review.forget = name => {
    const place = waiting.indexOf(name);
    if (place < 0) return;
    waiting.splice(place, 1);
    wanted.delete(name);
  };

  const picture = source => new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error(`${source.slice(0, 60)} cannot be read`));
    image.src = source;
  });

  review.heldThumb = number => kept.get(number);

  review.thumb = async number => {
    const {image, width, height, maps} = await load(`thumbs/${number}.js`);
    const thumb = {image, width, height, maps: maps.map(map => map && review.unpackSmall(map))};
    kept.delete(number);
    kept.set(number, thumb);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    return thumb;
  };

  review.whole = async number => {
    const {width, height, maps} = await load(`frames/${number}.js`);
    const [blurry, sharp, ...codes] = await Promise.all([
      picture(`frames/${number}-blurry.jpg`),
      picture(`frames/${number}-sharp.jpg`),
      ...maps.map(map => map && review.unpack(map, width, height)),
    ]);
    return {number, width, height, blurry, sharp, codes};
  };
}
