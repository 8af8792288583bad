"use strict";
/* What each panel of a large frame shows, by mode: its parts, two masks beside each other, or the mask at four mu. */
{
  const TINT = [255, 0, 200, 255];
  const NOTHING = [0, 0, 0, 0];
  const BLACK = [0, 0, 0, 255];
  const WHITE = [255, 255, 255, 255];
  const STEPS = [-0.03, -0.01, 0, 0.01]; // of mu, as in Figure 11

  const said = mu => String(Number(mu.toFixed(4)));

  /* The panels of the mode: title, and what each draws, in the frame's pixels. */
  const panelsOf = large => {
    const {whole, method, mu, other} = large;
    const photo = image => context => context.drawImage(image, 0, 0, whole.width, whole.height);
    const name = at => review.site.methods.length > 1 ? `${review.site.methods[at].method}, ` : "";
    const overlay = (at, threshold) => context => {
      context.drawImage(whole.blurry, 0, 0, whole.width, whole.height);
      if (!whole.codes[at]) return;
      context.globalAlpha = large.opacity;
      context.drawImage(large.painted("tint", at, threshold(), TINT, NOTHING), 0, 0);
      context.globalAlpha = 1;
    };
    const sharpness = at => context => { if (whole.codes[at]) context.drawImage(large.coloured(at), 0, 0); };
    const target = kind => context => {
      if (whole.codes[method]) context.drawImage(large.target(kind, method, large.mu), 0, 0);
    };
    const wiped = context => {
      photo(whole.blurry)(context);
      if (!large.wipe) return;
      const {left, right} = large.edges(context.canvas);
      context.save();
      context.beginPath();
      context.rect(left, -1e6, (right - left) * large.wipe, 2e6);
      context.clip();
      photo(whole.sharp)(context);
      context.restore();
    };
    const mask = threshold => context => {
      if (whole.codes[method]) context.drawImage(large.painted("white", method, threshold(), WHITE, BLACK), 0, 0);
    };
    const scale = at => `S ${name(at)}`.replace(/, $/, "").trim();
    if (large.mode === "compare") {
      return [
        {title: "Blurry", draw: wiped},
        {title: `M: ${name(method)}mu ${said(mu)}`, draw: overlay(method, () => large.mu)},
        {title: `M: ${name(other.method)}mu ${said(other.mu)}`, draw: overlay(other.method, () => other.mu)},
        {title: "Sharp", draw: photo(whole.sharp)},
        {title: scale(method), draw: sharpness(method)},
        ...(other.method === method ? [] : [{title: scale(other.method), draw: sharpness(other.method)}]),
      ];
    }
    if (large.mode === "figure11") {
      const steps = STEPS.map(step => Math.min(1, Math.max(0, Number((mu + step).toFixed(4)))));
      return [
        {title: "Blurry", draw: wiped},
        {title: "Sharp", draw: photo(whole.sharp)},
        ...steps.map(step => ({title: `M at mu ${said(step)}, white is small blur`, draw: mask(() => step)})),
      ];
    }
    return [
      {title: "Blurry", draw: wiped},
      {title: "Sharpness S", draw: sharpness(method), isScaled: true},
      {title: "M over blurry, pink is small blur", draw: overlay(method, () => large.mu)},
      {title: "Sharp", draw: photo(whole.sharp)},
      {title: "Sgt, small-blur target: M × sharp", draw: target("sgt")},
      {title: "Lgt, large-blur target: (1 − M) × sharp", draw: target("lgt")},
    ];
  };

  Object.assign(review, {panelsOf, said});
}
