"use strict";
/* The explorer: sliders and a prompt choose a world, theory.js computes every learner's accuracy, and all is redrawn.
 * The page's fragment holds the state, such as #explore?p_spu=0.9&prompt=mean, so that a world has a link.
 */

const room = document.getElementById("explore");
const knobs = [...room.querySelectorAll("[data-knob]")].map((box) => ({
  field: box.dataset.knob, low: +box.dataset.low, high: +box.dataset.high, scale: box.dataset.scale,
  usual: +box.dataset.default, start: +box.dataset.start,
  slider: box.querySelector("[type=range]"), number: box.querySelector("[type=number]"),
}));
const promptChoice = room.querySelector("select");
const switches = [...room.querySelectorAll("[data-line]")];
const DIMENSION = +room.dataset.dimension;
const SIDE = 360, MIDDLE = SIDE / 2;  // of the picture, in SVG units
const CELLS = 48;  // of the grid for the curved boundary of InfoNCE

/* ---- slider places, 0 to 1, and values ---- */

const SCALES = {
  linear: { value: (t, k) => k.low + t * (k.high - k.low), place: (x, k) => (x - k.low) / (k.high - k.low) },
  cube: { value: (t, k) => k.low + t ** 3 * (k.high - k.low), place: (x, k) => Math.cbrt((x - k.low) / (k.high - k.low)) },
  "one-minus": {
    value: (t, k) => (t === 1 ? 1 : 1 - (1 - k.low) * 10 ** (-6 * t)),
    place: (x, k) => (x >= 1 ? 1 : Math.min(1, Math.log10((1 - k.low) / (1 - x)) / 6)),
  },
};

/* A short value: two or three digits, of 1 - x on a one-minus slider. */
function rounded(x, knob) {
  if (knob.scale === "one-minus") return x >= 1 ? 1 : +(1 - Number((1 - x).toPrecision(2))).toFixed(9);
  return knob.scale === "cube" ? Number(x.toPrecision(3)) : +x.toFixed(2);
}

/* ---- the world, from the controls to the fragment ---- */

let state = {};

function worldOf(chosen) {
  return { ...chosen, nu: chosen.sigma_xi ** 2 / DIMENSION };
}

function fragment() {
  const parts = knobs.filter((k) => state[k.field] !== k.start).map((k) => `${k.field}=${state[k.field]}`);
  if (state.prompt !== promptChoice.options[0].value) parts.push(`prompt=${state.prompt}`);
  return `#explore?${parts.join("&")}`;
}

function command(learner) {
  const flags = knobs.filter((k) => state[k.field] !== k.usual).map((k) => `--${k.field.replaceAll("_", "-")} ${state[k.field]}`);
  if (learner !== "linear") flags.push(`--learner ${learner}`);
  if (["linear", "infonce"].includes(learner) && state.prompt !== "name") flags.push(`--prompt ${state.prompt}`);
  return ["soberclip predict", ...flags].join(" ");
}

/* The state of a fragment. Wrong values are reported and replaced by the start value. */
function read(text) {
  const given = new URLSearchParams(text), refused = [];
  const found = Object.fromEntries(knobs.map((k) => [k.field, k.start]));
  found.prompt = promptChoice.options[0].value;
  for (const [name, words] of given) {
    const knob = knobs.find((k) => k.field === name), value = Number(words);
    if (name === "prompt" && [...promptChoice.options].some((o) => o.value === words)) found.prompt = words;
    else if (knob && words.trim() !== "" && value >= knob.low && value <= knob.high) found[name] = value;
    else if (knob) refused.push(`${name} = ${words} is not a number from ${knob.low} to ${knob.high}; showing ${found[name]}`);
    else refused.push(`${name} = ${words} is unknown`);
  }
  say(refused.join("; "));
  return found;
}

const say = (words) => { room.querySelector("[role=status]").textContent = words; };

function showControls() {
  for (const k of knobs) {
    k.slider.value = SCALES[k.scale].place(state[k.field], k);
    k.slider.setAttribute("aria-valuetext", String(state[k.field]));
    k.number.value = state[k.field];
  }
  promptChoice.value = state.prompt;
}

/* ---- the picture ---- */

const SVG = "http://www.w3.org/2000/svg";

function shape(kind, attributes) {
  const made = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/* The same uniform (Park and Miller) and normal numbers on every visit. */
function fixedDraws(count) {
  let seed = 20240311;
  const uniform = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  return Array.from({ length: count }, (_, i) => {
    const radius = Math.sqrt(-2 * Math.log(uniform())), angle = 2 * Math.PI * uniform();
    return { y: i % 2 ? 1 : -1, matches: uniform(), inv: radius * Math.cos(angle), spu: radius * Math.sin(angle) };
  });
}

const DRAWS = fixedDraws(400);

/* Half the length of the axes: an even number beyond all groups. */
function reachOf(w) {
  const far = Math.max(w.mu_inv + 2.5 * Math.sqrt(imageVariance(w)[0]), w.mu_spu + 2.5 * Math.sqrt(imageVariance(w)[1]));
  return 2 * Math.ceil(far / 2);
}

function pointsOf(w, at) {
  const [s, t] = imageVariance(w).map(Math.sqrt);
  return DRAWS.map((d) => {
    const common = d.matches < w.p_spu, sign = d.y === 1 ? "plus" : "minus";
    const x = at(d.y * w.mu_inv + s * d.inv), y = -at((common ? d.y : -d.y) * w.mu_spu + t * d.spu);
    if (common) return shape("circle", { class: sign, cx: x, cy: y, r: 2.2 });
    return shape("path", { class: `${sign} counter`, d: `M${x - 3.2} ${y - 3.2}l6.4 6.4m0 -6.4l-6.4 6.4` });
  });
}

/* Decision boundaries as paths. */
const LINES = {
  linear: (w, at, reach) => line(linearDirection(w, state.prompt), at, reach),
  logistic: (w, at, reach) => line(logisticDirection(w), at, reach),
  "least-squares": (w, at, reach) => line(leastSquaresDirection(w), at, reach),
  bayes: (w, at, reach) => {
    const places = Array.from({ length: 201 }, (_, k) => reach * (k / 100 - 1));
    return "M" + places.map((y) => `${at(Math.max(-9 * reach, Math.min(9 * reach, bayesLine(w, y)))).toFixed(1)} ${-at(y).toFixed(1)}`).join("L");
  },
  infonce: (w, at, reach) => (w.nu > 0 ? curve(mixture(w, state.prompt), at, reach) : ""),
};

function line([u, v], at, reach) {
  const size = Math.hypot(u, v);
  if (!size) return "";
  const x = at(3 * reach * v / size), y = at(3 * reach * u / size);
  return `M${-x} ${-y}L${x} ${y}`;
}

/* The curve where the preference is 0, by marching squares with linear interpolation. */
function curve(what, at, reach) {
  const place = (k) => reach * (2 * k / CELLS - 1), rows = [];
  for (let j = 0; j <= CELLS; j++) {
    const f = along(what, 0, place(j));
    rows.push(Array.from({ length: CELLS + 1 }, (_, i) => f(place(i))));
  }
  const between = (i, j, k, l) => {
    const a = rows[j][i], b = rows[l][k], share = a / (a - b);
    return `${at(place(i) + share * (place(k) - place(i))).toFixed(1)} ${(-at(place(j) + share * (place(l) - place(j)))).toFixed(1)}`;
  };
  const pieces = [];
  for (let j = 0; j < CELLS; j++)
    for (let i = 0; i < CELLS; i++) {
      const ends = [[i, j, i + 1, j], [i + 1, j, i + 1, j + 1], [i, j + 1, i + 1, j + 1], [i, j, i, j + 1]]
        .filter(([a, b, c, d]) => rows[b][a] > 0 !== rows[d][c] > 0).map((edge) => between(...edge));
      for (let k = 0; k + 1 < ends.length; k += 2) pieces.push([ends[k], ends[k + 1]]);
    }
  return chained(pieces);
}

/* Join pieces at equal ends, so that dashes continue. */
function chained(pieces) {
  const left = new Set(pieces), meets = new Map();
  for (const piece of pieces) for (const end of piece) meets.set(end, [...(meets.get(end) ?? []), piece]);
  let path = "";
  const alone = pieces.filter((piece) => piece.some((end) => meets.get(end).length === 1));
  for (const first of [...alone, ...pieces]) {
    if (!left.has(first)) continue;
    let piece = first, [from, to] = meets.get(first[0]).length === 1 ? first : [first[1], first[0]];
    path += `M${from}`;
    while (piece) {
      left.delete(piece);
      path += `L${to}`;
      piece = meets.get(to).find((one) => left.has(one));
      if (piece) to = piece[0] === to ? piece[1] : piece[0];
    }
  }
  return path;
}

function drawPicture(w) {
  const picture = room.querySelector("svg.sight"), reach = reachOf(w), at = (x) => MIDDLE * x / reach;
  const parts = [shape("path", { class: "axis", d: `M${-MIDDLE} 0H${MIDDLE}M0 ${-MIDDLE}V${MIDDLE}` })];
  for (const tick of [-reach / 2, reach / 2]) {
    const across = shape("text", { x: at(tick), y: 14, "text-anchor": "middle" }), up = shape("text", { x: 4, y: -at(tick) + 4 });
    across.textContent = up.textContent = String(tick).replace("-", "−");
    parts.push(across, up);
  }
  parts.push(...pointsOf(w, at));
  for (const one of switches)
    if (one.checked) parts.push(shape("path", { class: `rule ${one.dataset.line}`, d: LINES[one.dataset.line](w, at, reach) }));
  picture.querySelector("g").replaceChildren(...parts);
}

/* ---- numbers and inequalities ---- */

const points = (x) => (100 * x).toFixed(2);

function showAccuracies(found) {
  for (const [name, accuracy] of Object.entries(found)) {
    const row = room.querySelector(`[data-learner="${name}"]`);
    row.querySelector(".common").textContent = accuracy.refused ? "–" : points(accuracy.common);
    row.querySelector(".counter").textContent = accuracy.refused ? "–" : points(accuracy.counter);
    row.querySelector("code").textContent = accuracy.refused ? `no answer: ${accuracy.refused}` : command(name);
  }
}

/* The p_spu from which a condition holds, by bisection; "" if there is none. */
function turningPoint(w, holds) {
  const at = (p) => holds({ ...w, p_spu: p });
  if (at(0.5) || !at(1)) return "";
  let [low, high] = [0.5, 1];
  for (let k = 0; k < 30; k++) [low, high] = at((low + high) / 2) ? [low, (low + high) / 2] : [(low + high) / 2, high];
  return `true from p_spu = ${((low + high) / 2).toFixed(4)}`;
}

/* The inequalities of the docket: [words, left, right, whether it holds (null for a comparison), remark, claims]. */
function inequalities(w, found) {
  const prompt = state.prompt, outside = outsideTheorem(w), bound = printed(w);
  const linear = (v) => ofDirection(v, linearDirection(v, prompt));
  const missing = outside.length ? `outside the theorem, which requires ${outside.join(", ")}` : "";
  const errorHolds = (v) => 1 - linear(v).counter >= printed(v).error_counter;
  const commonHolds = (v) => linear(v).common >= printed(v).accuracy_common;
  const family = { name: ["wang-theorem-6.2-error", "wang-theorem-6.2-accuracy"], mean: ["wang-theorem-6.2-mean-prompt-error", "wang-theorem-6.2-mean-prompt-accuracy"] }[prompt] ?? [];
  const reliance = (p) => { const [u, v] = linearDirection(w, p); return v / u; };
  const loud = w.mu_spu ** 2 * (2 * w.p_spu - 1), enough = w.mu_inv ** 2 + w.sigma_inv ** 2, condition = 1 + w.sigma_inv ** 2 / 2;
  const versus = (one, other, claims) => [
    `${NAMES[one]} against ${NAMES[other]}, counter accuracy in percent`,
    found[one].refused ? NaN : 100 * found[one].counter, 100 * found[other].counter, null, "", claims];
  return [
    ["Error on the counter group, at least the printed bound (Theorem 6.2), in percent", 100 - 100 * found.linear.counter, 100 * bound.error_counter, errorHolds(w), missing || turningPoint(w, errorHolds), family.slice(0, 1)],
    ["Accuracy on the common group, at least the printed bound (Theorem 6.2), in percent", 100 * found.linear.common, 100 * bound.accuracy_common, commonHolds(w), missing || turningPoint(w, commonHolds), family.slice(1)],
    ["With the name prompt, linear CLIP is wrong on most of the counter group: mu_spu² (2 p_spu − 1) > mu_inv² + sigma_inv²", loud, enough, loud > enough, "", ["counter-majority-wrong"]],
    ["The printed condition for that: mu_spu ≥ 1 + sigma_inv²/2", w.mu_spu, condition, w.mu_spu >= condition, w.mu_spu >= condition && !(loud > enough) ? "met, but the majority is right" : "", ["paper-condition-sufficient"]],
    ["Linear CLIP relies on the background at least as much with the mean prompt as with the name prompt", reliance("mean"), reliance("name"), reliance("mean") >= reliance("name"), "", ["prompt-matters"]],
    versus("linear", "logistic", [`no-extra-robustness-linear-${prompt}-vs-logistic`, `xue-contrastive-more-robust-${prompt}`]),
    versus("linear", "least-squares", [`no-extra-robustness-linear-${prompt}-vs-least-squares`]),
    versus("infonce", "logistic", [`no-extra-robustness-infonce-${prompt}-vs-logistic`]),
    versus("infonce", "bayes", [`no-extra-robustness-infonce-${prompt}-vs-bayes`]),
  ];
}

const NAMES = Object.fromEntries(switches.map((one) => [one.dataset.line, one.dataset.words]));
const EQUAL = 1e-3;  // points; smaller differences count as equal

function cell(kind, ...content) {
  const made = document.createElement(kind);
  made.append(...content);
  return made;
}

function rowOf([words, left, right, holds, remark, claims]) {
  const row = document.createElement("tr"), head = cell("th", words);
  head.scope = "row";
  for (const claim of claims)
    if (document.getElementById(claim)) {
      const link = cell("a", claim);
      link.href = `#${claim}`;
      head.append(" ", link);
    }
  const ahead = Math.abs(left - right) < EQUAL ? "equal" : left > right ? "ahead" : "behind";
  const says = Number.isNaN(left) ? "no answer" : holds === null ? ahead : holds ? "holds" : "fails";
  const mark = cell("span", says);
  mark.className = says;
  const relation = says === "equal" ? "≈" : left > right ? ">" : left < right ? "<" : "=";
  const numbers = cell("td", Number.isNaN(left) ? "" : `${+left.toPrecision(4)} ${relation} ${+right.toPrecision(4)}`);
  numbers.className = "number";
  const verdict = cell("td", mark, remark ? `; ${remark}` : "");
  row.append(head, numbers, verdict);
  // On a phone rows are blocks, and a screen reader needs the roles to see a table.
  for (const [part, role] of [[row, "row"], [head, "rowheader"], [numbers, "cell"], [verdict, "cell"]]) part.setAttribute("role", role);
  return row;
}

/* ---- updates ---- */

let waiting = false, written = 0;

function redraw() {
  waiting = false;
  const w = worldOf(state);
  const found = Object.fromEntries(switches.map((one) => [one.dataset.line, LEARNERS[one.dataset.line](w, state.prompt)]));
  drawPicture(w);
  showAccuracies(found);
  room.querySelector(".inequalities tbody").replaceChildren(...inequalities(w, found).map(rowOf));
  room.querySelector(".nu").textContent = `ν = σ_ξ²/${DIMENSION} = ${+w.nu.toPrecision(4)}`;
  room.querySelector("a.world").href = fragment();
}

/* Redraw at most once per frame. The fragment follows later, since browsers limit how often it changes. */
function changed(part) {
  state = { ...state, ...part };
  showControls();
  if (!waiting) {
    waiting = true;
    requestAnimationFrame(redraw);
  }
  clearTimeout(written);
  written = setTimeout(() => history.replaceState(null, "", fragment()), 300);
}

function show(text) {
  state = read(text);
  showControls();
  redraw();
}

for (const k of knobs) {
  k.slider.addEventListener("input", () => changed({ [k.field]: rounded(SCALES[k.scale].value(+k.slider.value, k), k) }));
  k.number.addEventListener("change", () => {
    const value = k.number.valueAsNumber, fits = value >= k.low && value <= k.high;
    say(fits ? "" : `${k.field} must be a number from ${k.low} to ${k.high}; keeping ${state[k.field]}`);
    changed(fits ? { [k.field]: value } : {});
  });
}
promptChoice.addEventListener("change", () => changed({ prompt: promptChoice.value }));
switches.forEach((one) => one.addEventListener("change", redraw));
room.querySelector("button.reset").addEventListener("click", () => {
  show("");
  changed({});
});

const PLACE = "#explore?";
function follow() {
  if (!location.hash.startsWith(PLACE)) return;
  show(location.hash.slice(PLACE.length));
  room.scrollIntoView();
}
addEventListener("hashchange", follow);
show("");
follow();
