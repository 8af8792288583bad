"use strict";
/* Maps of S as they are stored, 16 bits a pixel, and what is made of them: masks, colours, shares. */
{
  const LEVELS = 65535;

  const bytesOf = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));

  /* The smallest code that passes mu: code / 65535 > mu in doubles, as prep.masks compares. 65536 where none does. */
  const leastCode = mu => {
    let code = Math.max(0, Math.floor(mu * LEVELS) - 2);
    while (code <= LEVELS && !(code / LEVELS > mu)) code += 1;
    return code;
  };

  /* A whole map: rows of differences, high bytes before low bytes, deflated (prep.review.pictures.pack_codes). */
  const unpack = async (text, width, height) => {
    const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    const size = width * height;
    const codes = new Uint16Array(size);
    for (let row = 0; row < height; row += 1) {
      let code = 0;
      for (let at = row * width; at < (row + 1) * width; at += 1) {
        code = (code + ((bytes[at] << 8) | bytes[size + at])) & LEVELS;
        codes[at] = code;
      }
    }
    return codes;
  };

  /* A small map: codes as they are, low byte first. */
  const unpackSmall = text => {
    const bytes = bytesOf(text);
    return Uint16Array.from({length: bytes.length / 2}, (_, at) => bytes[2 * at] | (bytes[2 * at + 1] << 8));
  };

  const maskOf = (codes, mu) => {
    const least = leastCode(mu);
    const mask = new Uint8Array(codes.length);
    for (let at = 0; at < codes.length; at += 1) mask[at] = codes[at] >= least ? 1 : 0;
    return mask;
  };

  const shareOf = mask => mask.reduce((sum, one) => sum + one, 0) / mask.length;

  const newCanvas = (width, height) => Object.assign(document.createElement("canvas"), {width, height});

  /* A canvas with one of two colours, as [r, g, b, a], at each pixel. */
  const paint = (mask, width, height, marked, unmarked, canvas = newCanvas(width, height)) => {
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, {width, height});
    const pack = ([r, g, b, a]) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;
    const colours = [pack(unmarked), pack(marked)];
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let at = 0; at < mask.length; at += 1) pixels[at] = colours[mask[at]];
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  };

  /* S in colours of 256 steps; scale holds r, g, b of each. */
  const colour = (codes, width, height, scale) => {
    const canvas = newCanvas(width, height);
    const image = new ImageData(width, height);
    for (let at = 0; at < codes.length; at += 1) {
      const step = 3 * (codes[at] >> 8);
      image.data.set([scale[step], scale[step + 1], scale[step + 2], 255], 4 * at);
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  };

  const histogramOf = codes => {
    const bins = new Uint32Array(256);
    for (let at = 0; at < codes.length; at += 1) bins[codes[at] >> 8] += 1;
    return bins;
  };

  /* The share that a mu marks, from those of mu = 0, 1 / (n - 1), ... 1; between two of them along a line. A map ends at
     its largest S, often with many pixels of just that value: the line leads to their share, and from there on it is 0. */
  const shareAt = (shares, mu, {top, share}) => {
    if (mu >= top) return 0;
    const place = mu * (shares.length - 1);
    const left = Math.min(Math.floor(place + 1e-9), shares.length - 1);
    const part = Math.max(0, place - left);
    if (part < 1e-9) return shares[left];
    const end = top * (shares.length - 1);
    if (end >= left + 1) return shares[left] + part * (shares[left + 1] - shares[left]);
    return shares[left] + part / (end - left) * (share - shares[left]);
  };

  window.review = {
    LEVELS, bytesOf, leastCode, unpack, unpackSmall, maskOf, shareOf, newCanvas, paint, colour, histogramOf, shareAt,
  };
}
