"use strict";
/* The explorer: sliders and a prompt choose a world, theory.js computes every learner's accuracy, and all is redrawn.
 * The address has what differs from the start, so that a link shows what one sees. */

const room = document.getElementById("explore");
const knobs = [...room.querySelectorAll("[data-knob]")].map((box) => {
  const [slider, number] = box.querySelectorAll("input"), { knob: field, power } = box.dataset;
  return { field, slider, number, power: +power, low: +number.min, high: +number.max };
});
const promptChoice = room.querySelector("select");
const switches = [...room.querySelectorAll("[data-line]")];
const DIMENSION = +room.dataset.dimension;
const MIDDLE = 180;  // half the side of the picture, in SVG units
const CELLS = 48;  // of the grid for the curved boundary of InfoNCE

/* The value, of two or three digits, at a slider's place t from 0 to 1; `choose` has the inverse. */
function valueAt(t, k) {
  const x = k.low + t ** k.power * (k.high - k.low);
  return k.power > 1 ? Number(x.toPrecision(3)) : +x.toFixed(2);
}

/* ---- what is chosen: a world, a prompt and the lines that are shown ---- */

const presets = [...room.querySelectorAll("[data-world]")];
const linesShown = () => switches.filter((one) => one.checked).map((one) => one.dataset.line).join(" ");
const START = { ...JSON.parse(presets[0].dataset.world), prompt: promptChoice.options[0].value, lines: linesShown() };
let chosen = START, writing;

const world = () => ({ ...chosen, nu: chosen.sigma_xi ** 2 / DIMENSION });

/* ---- the address: #explore?p_spu=0.99&prompt=mean&lines=bayes ---- */

function writeAddress() {
  const differing = new URLSearchParams(Object.entries(chosen).filter(([name, value]) => value !== START[name]));
  history.replaceState(null, "", differing.size ? `#explore?${differing}` : location.hash.split("?")[0] || location.pathname + location.search);
}

/* Values beyond a slider's ends, and names that do not exist, are left out. */
function readAddress() {
  const [place, words] = location.hash.split("?");
  if (place !== "#explore" || !words) return;
  const asked = new URLSearchParams(words), read = { lines: asked.get("lines") ?? START.lines };
  for (const { field, low, high } of knobs) {
    const x = Number(asked.get(field) ?? NaN);
    if (x >= low && x <= high) read[field] = x;
  }
  const prompts = [...promptChoice.options].map((one) => one.value);
  if (prompts.includes(asked.get("prompt"))) read.prompt = asked.get("prompt");
  room.scrollIntoView();
  choose({ ...START, ...read });
}

/* ---- the picture ---- */

/* The same uniform (Park and Miller) and normal numbers on every visit. */
let seed = 20240311;
const uniform = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
const DRAWS = Array.from({ length: 400 }, (_, i) => {
  const radius = Math.sqrt(-2 * Math.log(uniform())), angle = 2 * Math.PI * uniform();
  return { y: i % 2 ? 1 : -1, matches: uniform(), inv: radius * Math.cos(angle), spu: radius * Math.sin(angle) };
});

/* Half the length of the axes: a whole number beyond all groups. */
function reachOf(w) {
  const [s, t] = imageVariance(w).map(Math.sqrt);
  return Math.ceil(Math.max(w.mu_inv + 2.5 * s, w.mu_spu + 2.5 * t));
}

function pointsOf(w, at) {
  const [s, t] = imageVariance(w).map(Math.sqrt);
  return DRAWS.map((d) => {
    const common = d.matches < w.p_spu, sign = d.y === 1 ? "plus" : "minus";
    const x = at(d.y * w.mu_inv + s * d.inv), y = -at((common ? d.y : -d.y) * w.mu_spu + t * d.spu);
    if (common) return `<circle class="${sign}" cx="${x}" cy="${y}" r="2.2"/>`;
    return `<path class="${sign} counter" d="M${x - 3.2} ${y - 3.2}l6.4 6.4m0 -6.4l-6.4 6.4"/>`;
  });
}

/* An animal on a background, at the mean of each of the four groups. */
function animalsOf(w, at) {
  const width = 42, height = width * 44 / 64;
  return [["#polar-snow", 1, 1], ["#polar-grass", 1, -1], ["#brown-grass", -1, -1], ["#brown-snow", -1, 1]].map(([animal, y, a]) => {
    const x = at(y * w.mu_inv) - width / 2, top = -at(a * w.mu_spu) - height / 2;
    return `<use href="${animal}" transform="translate(${x} ${top}) scale(${width / 64})"/>`;
  });
}

/* Decision boundaries as paths. */
const LINES = {
  linear: (w, at, reach) => line(linearDirection(w, w.prompt), at, reach),
  logistic: (w, at, reach) => line(logisticDirection(w), at, reach),
  "least-squares": (w, at, reach) => line(leastSquaresDirection(w), at, reach),
  bayes: (w, at, reach) => {
    const places = Array.from({ length: 201 }, (_, k) => reach * (k / 100 - 1));
    return "M" + places.map((y) => `${at(Math.max(-9 * reach, Math.min(9 * reach, bayesLine(w, y)))).toFixed(1)} ${-at(y).toFixed(1)}`).join("L");
  },
  infonce: (w, at, reach) => {
    if (infonce(w, w.prompt).refused) return "";
    return w.prompt === "bare" ? LINES.bayes(w, at, reach) : curve(mixture(w, w.prompt), at, reach);
  },
};

function line([u, v], at, reach) {
  const size = Math.hypot(u, v);
  if (!size) return "";
  const x = at(3 * reach * v / size), y = at(3 * reach * u / size);
  return `M${-x} ${-y}L${x} ${y}`;
}

/* The curve where the preference is 0, by marching squares with linear interpolation: one piece per cell. */
function curve(what, at, reach) {
  const place = (k) => reach * (2 * k / CELLS - 1), rows = [];
  for (let j = 0; j <= CELLS; j++) {
    const f = along(what, 0, place(j));
    rows.push(Array.from({ length: CELLS + 1 }, (_, i) => f(place(i))));
  }
  const between = ([i, j, k, l]) => {
    const a = rows[j][i], b = rows[l][k], share = a / (a - b);
    return `${at(place(i + share * (k - i))).toFixed(1)} ${(-at(place(j + share * (l - j)))).toFixed(1)}`;
  };
  let path = "";
  for (let j = 0; j < CELLS; j++)
    for (let i = 0; i < CELLS; i++) {
      const ends = [[i, j, i + 1, j], [i + 1, j, i + 1, j + 1], [i, j + 1, i + 1, j + 1], [i, j, i, j + 1]]
        .filter(([a, b, c, d]) => rows[b][a] > 0 !== rows[d][c] > 0).map(between);
      for (let k = 0; k + 1 < ends.length; k += 2) path += `M${ends[k]}L${ends[k + 1]}`;
    }
  return path;
}

function drawPicture(w) {
  const reach = reachOf(w), at = (x) => MIDDLE * x / reach;
  const axes = `<path class="axis" d="M${-MIDDLE} 0H${MIDDLE}M0 ${-MIDDLE}V${MIDDLE}"/>`;
  const ticks = [-reach / 2, reach / 2].map((tick) => {
    const words = String(tick).replace("-", "−");
    return `<text x="${at(tick)}" y="14" text-anchor="middle">${words}</text><text x="4" y="${-at(tick) + 4}">${words}</text>`;
  });
  const lines = switches.filter((one) => one.checked).map(({ dataset: { line: name } }) =>
    `<path class="rule ${name}" d="${LINES[name](w, at, reach)}"/>`);
  room.querySelector("svg.sight g").innerHTML = [axes, ...ticks, ...pointsOf(w, at), ...animalsOf(w, at), ...lines].join("");
}

/* ---- updates ---- */

const points = (x) => (100 * x).toFixed(2);

function redraw() {
  const w = world();
  drawPicture(w);
  for (const { dataset: { line: name } } of switches) {
    const row = room.querySelector(`[data-learner="${name}"]`), found = LEARNERS[name](w, w.prompt), { refused } = found;
    const place = refused ? {} : equivalent(w, found);
    const show = (cell, number, words) => { row.querySelector(cell).textContent = Number.isFinite(number) ? words(number) : "–"; };
    show(".common", found.common, points);
    show(".counter", found.counter, points);
    show(".correlation", place.correlation, (p) => p.toFixed(3));
    show(".shortfall", place.shortfall, (r) => (100 * Math.max(r, 0)).toFixed(1));
    row.querySelector(".why").textContent = refused ? `no answer: ${refused}` : "";
  }
  clearTimeout(writing);
  writing = setTimeout(writeAddress, 200);  // browsers refuse to write at every step of a slider
  room.querySelector(".nu").textContent = `ν = σ_ξ²/${DIMENSION} = ${+w.nu.toPrecision(4)}`;
}

function choose(part) {
  chosen = { ...chosen, ...part };
  for (const k of knobs) {
    k.slider.value = ((chosen[k.field] - k.low) / (k.high - k.low)) ** (1 / k.power);
    k.slider.setAttribute("aria-valuetext", String(chosen[k.field]));
    k.number.value = chosen[k.field];
  }
  promptChoice.value = chosen.prompt;
  for (const one of switches) one.checked = chosen.lines.split(" ").includes(one.dataset.line);
  redraw();
}

for (const k of knobs) {
  k.slider.addEventListener("input", () => choose({ [k.field]: valueAt(+k.slider.value, k) }));
  k.number.addEventListener("change", () => choose(k.number.reportValidity() ? { [k.field]: k.number.valueAsNumber } : {}));
}
/* The bare name needs captions that are bare. */
promptChoice.addEventListener("change", () => choose({ prompt: promptChoice.value, ...(promptChoice.value === "bare" && chosen.bare === 0 ? { bare: 0.5 } : {}) }));
switches.forEach((one) => one.addEventListener("change", () => choose({ lines: linesShown() })));
presets.forEach((one) => one.addEventListener("click", () => choose(JSON.parse(one.dataset.world))));
addEventListener("hashchange", readAddress);
readAddress();
choose({});
