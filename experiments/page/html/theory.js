"use strict";
/* Closed forms of theory/ for two classes, one background, and objects that always match the label.
 *
 * A world is {p_spu, mu_inv, mu_spu, sigma_inv, sigma_spu, nu, mention_inv, mention_spu, detail_inv, detail_spu, bare};
 * nu is the variance of the view noise per coordinate of images and captions. Letters as in theory/: S = sigma^2 + nu, D = 2 p - 1. A learner returns
 * {common, counter} as fractions, or {refused: reason}.
 * tests/experiments/page/test_explorer.py compares every function with theory/ at random worlds.
 */

/* ---- the normal distribution and averages over it ---- */

const ROOT_TWO_PI = Math.sqrt(2 * Math.PI);
const density = (t) => Math.exp(-t * t / 2) / ROOT_TWO_PI;

/* The standard normal distribution function, to 1e-15, by a series whose terms have one sign. */
function Phi(x) {
  if (Math.abs(x) > 8) return x < 0 ? 0 : 1;
  let term = x, sum = x;
  for (let k = 3; Math.abs(term) > 1e-17 * Math.abs(sum); k += 2) sum += (term *= x * x / k);
  return 0.5 + density(x) * sum;
}

/* Gauss and Kronrod's pair of rules on [-1, 1] (QUADPACK, qk15): node, weight of 15 nodes, weight of 7 of them. */
const NODES = [
  [0, 0.209482141084728, 0.417959183673469],
  [0.207784955007898, 0.204432940075298, 0],
  [0.405845151377397, 0.190350578064785, 0.381830050505119],
  [0.586087235467691, 0.169004726639267, 0],
  [0.741531185599394, 0.140653259715525, 0.279705391489277],
  [0.864864423359769, 0.104790010322250, 0],
  [0.949107912342759, 0.063092092629979, 0.129484966168870],
  [0.991455371120813, 0.022935322010529, 0],
].flatMap(([x, fine, rough]) => (x === 0 ? [[x, fine, rough]] : [[x, fine, rough], [-x, fine, rough]]));
const SHALLOWEST = 4;  // halvings of the whole range, so that no step of the integrand is missed
const DEEPEST = 40;  // enough to enclose a step in 1e-12 of the range

/* The integrals of two functions over [low, high]: panels are halved until both rules agree in each. */
function integral(f, low, high, tolerance, depth = 0) {
  const middle = (low + high) / 2, half = (high - low) / 2, fine = [0, 0], off = [0, 0];
  if (depth >= SHALLOWEST) {
    for (const [x, w, v] of NODES)
      f(middle + half * x).forEach((value, k) => {
        fine[k] += half * w * value;
        off[k] += half * (w - v) * value;
      });
    if (Math.max(...off.map(Math.abs)) < tolerance || depth >= DEEPEST) return fine;
  }
  const upper = integral(f, middle, high, tolerance, depth + 1);
  return integral(f, low, middle, tolerance, depth + 1).map((lower, k) => lower + upper[k]);
}

/* ---- worlds and linear rules ---- */

const imageVariance = (w) => [w.sigma_inv ** 2 + w.nu, w.sigma_spu ** 2 + w.nu];
const over = (gap, deviation) => (gap === 0 && deviation === 0 ? 0 : gap / deviation);  // 0/0 = 0: a tie counts one half

/* Accuracies of the rule u x_inv + v x_spu > 0, exact. */
function ofDirection(w, [u, v]) {
  const [S, T] = imageVariance(w), s = Math.sqrt(u * u * S + v * v * T);
  return { common: Phi(over(u * w.mu_inv + v * w.mu_spu, s)), counter: Phi(over(u * w.mu_inv - v * w.mu_spu, s)) };
}

/* q, the prompt of class +1, per block. */
function promptOf(w, prompt) {
  if (prompt === "name" || prompt === "bare") return [w.mu_inv, 0];
  if (prompt === "background") return [w.mu_inv, w.mu_spu];
  return [w.mention_inv * w.mu_inv, w.mention_spu * w.mu_spu * (2 * w.p_spu - 1)];  // the average caption
}

/* u = ((1 - bare) C diag(mention) + bare c e_0') q, linear CLIP's weights; a bare caption tells the class alone. */
function linearDirection(w, prompt) {
  const q = promptOf(w, prompt), first = (1 - w.bare) * w.mention_inv * q[0], second = (1 - w.bare) * w.mention_spu * q[1];
  const cross = w.mu_inv * w.mu_spu * (2 * w.p_spu - 1), named = w.bare * q[0];
  const own = [w.mu_inv ** 2 + w.detail_inv * w.sigma_inv ** 2, w.mu_spu ** 2 + w.detail_spu * w.sigma_spu ** 2];
  return [own[0] * first + cross * second + w.mu_inv ** 2 * named, cross * (first + named) + own[1] * second];
}

/* r/d, least squares on labels: mean of a block given the label over its variance within a class. */
function leastSquaresDirection(w) {
  const [S, T] = imageVariance(w), D = 2 * w.p_spu - 1;
  return [w.mu_inv / S, w.mu_spu * D / (T + w.mu_spu ** 2 * (1 - D * D))];
}

/* ---- logistic regression on labels ---- */

/* Moments of the loss log(1 + e^-s), s normal with mean m and variance V, over e^log: of -l', and of l'' t^k with
 * t = (s - m)/sqrt(V). The rule is centred where -l' times the density is largest. */
function lossMoments(m, V) {
  const below = (s) => 1 / (1 + Math.exp(s)), level = (s) => (s > 0 ? -s : 0) - Math.log1p(Math.exp(-Math.abs(s))) - (s - m) ** 2 / (2 * V);
  const peak = root((s) => s - m + V * (1 - below(s)), m - V, m, false), top = level(peak), deviation = Math.sqrt(V);
  const step = Math.min(deviation / 3, 0.5), k = [0, 0, 0];
  let tail = 0;
  for (let s = peak - 9 * deviation; s <= peak + 9 * deviation; s += step) {
    const weight = step / deviation * Math.exp(level(s) - top), t = (s - m) / deviation;
    tail += weight;
    for (const j of [0, 1, 2]) k[j] += weight * (1 - below(s)) * t ** j;
  }
  return { log: top, tail, k };
}

/* Gradient and Hessian of the loss by r = u mu, over e^top; n = S/mu^2, and e says which blocks agree with the label. */
function lossDerivatives(w, r, n) {
  const V = n[0] * r[0] ** 2 + n[1] * r[1] ** 2, c = n.map((x, b) => x * r[b] / Math.sqrt(V));
  const groups = [[w.p_spu, [1, 1]], [1 - w.p_spu, [1, -1]]].filter(([share]) => share > 0)
    .map(([share, e]) => ({ share, e, ...lossMoments(e[0] * r[0] + e[1] * r[1], V) }));
  const top = Math.max(...groups.map((g) => g.log)), gradient = [0, 0], H = [[0, 0], [0, 0]];
  for (const { share, e, log, tail, k } of groups) {
    const f = share * Math.exp(log - top);
    for (const a of [0, 1]) {
      gradient[a] += f * (n[a] * r[a] * k[0] - tail * e[a]);
      for (const b of [0, 1])
        H[a][b] += f * (k[0] * (e[a] * e[b] + (a === b ? n[a] : 0)) + k[1] * (e[a] * c[b] + c[a] * e[b]) + (k[2] - k[0]) * c[a] * c[b]);
    }
  }
  return { top, gradient, H };
}

/* Damped Newton steps, as in theory/learners/logistic.py. */
function logisticDirection(w) {
  const [S, T] = imageVariance(w), D = 2 * w.p_spu - 1;
  if (w.mu_spu === 0 || D === 0) return [1, 0];
  const n = [S / w.mu_inv ** 2, T / w.mu_spu ** 2];
  let r = [2 / n[0], Math.min(2 * D / (n[1] + 1 - D * D), Math.log(w.p_spu / (1 - w.p_spu)))], now = lossDerivatives(w, r, n);
  for (let round = 0; round < 200; round++) {
    const { gradient: [g, h], H: [[a, b], [, d]] } = now, size = a * d - b * b;
    const step = [(b * h - d * g) / size, (b * g - a * h) / size], slope = g * step[0] + h * step[1];
    let t = 1, next;
    for (; t > 1e-12; t /= 2) {
      next = lossDerivatives(w, r.map((x, k) => x + t * step[k]), n);
      const uphill = next.gradient[0] * step[0] + next.gradient[1] * step[1];
      if (!(uphill * Math.exp(Math.min(next.top - now.top, 600)) > -slope / 2)) break;
    }
    r = r.map((x, k) => x + t * step[k]);
    now = next;
    if (Math.abs(step[0]) < 1e-9 * Math.abs(r[0]) && Math.abs(step[1]) < 1e-9 * (Math.abs(r[1]) + 1e-9)) break;
  }
  return [r[0] / w.mu_inv, r[1] / w.mu_spu];
}

/* ---- the Bayes rule on images ---- */

const HALF_LOG_ODDS = 18;  // of the correlation, which is then 0 or 1 to 2e-16
const halfLogOdds = (p) => Math.max(-HALF_LOG_ODDS, Math.min(HALF_LOG_ODDS, Math.log(p / (1 - p)) / 2));
const bayesHalf = (w) => (w.p_spu === 1 ? 1e4 : halfLogOdds(w.p_spu));  // at p = 1 beyond every u
const logCosh = (x) => Math.abs(x) + Math.log1p(Math.exp(-2 * Math.abs(x))) - Math.LN2;

/* Log odds of the label given a background with log odds 2 u; h is half the log odds of the correlation. */
const labelOdds = (u, h) => logCosh(u + h) - logCosh(u - h);

/* The boundary of the Bayes rule: x_inv at a given x_spu. */
function bayesLine(w, x) {
  const [S, T] = imageVariance(w);
  return -S / (2 * w.mu_inv) * labelOdds(w.mu_spu * x / T, bayesHalf(w));
}

/* ---- the optimum of InfoNCE ---- */

/* The Gaussians over the image coordinate of one block, given the prompt of class +1; `mentioned`: in the caption.
 * Without noise, captions that leave the block out are all alike, and no other caption has their density. */
function blockTerms(mu, sigma, mention, detail, q, nu) {
  const variance = sigma * sigma, total = variance + nu, shared = detail * variance, alone = (1 - detail) * variance + nu;
  const shrinkage = shared / total, narrow = alone + shrinkage * alone;  // total - shared^2/total without cancellation
  const found = [], silent = nu === 0 && mention < 1;
  for (const a of [1, -1]) {
    const surprise = q - a * mu;
    if (mention > 0 && !(silent && q === 0))
      found.push({ a, mentioned: true, log: Math.log(mention) - surprise ** 2 / (2 * total) - Math.log(total * narrow) / 2,
        centre: a * mu + shrinkage * surprise, curve: 1 / (2 * narrow) });
    if (mention < 1 && !(silent && q !== 0))
      found.push({ a, mentioned: false, log: Math.log(1 - mention) - (silent ? 0 : q * q / (2 * nu) + Math.log(nu) / 2) - Math.log(total) / 2,
        centre: a * mu, curve: 1 / (2 * total) });
  }
  return found;
}

/* The Gaussians of both blocks, and the log weights of the pairs that distinguish the prompts. */
function mixture(w, prompt) {
  const q = promptOf(w, prompt);
  const blocks = [
    blockTerms(w.mu_inv, w.sigma_inv, w.mention_inv, w.detail_inv, q[0], w.nu),
    blockTerms(w.mu_spu, w.sigma_spu, w.mention_spu, w.detail_spu, q[1], w.nu),
  ];
  const log = blocks[0].map((i) => blocks[1].map((s) => {
    const differs = (i.mentioned && q[0] !== 0) || (s.mentioned && q[1] !== 0);  // other pairs cancel
    return differs ? Math.log(i.a === s.a ? w.p_spu : 1 - w.p_spu) + i.log + s.log : -Infinity;
  }));
  return { blocks, log: [log, blocks[1].map((_, k) => log.map((row) => row[k]))] };  // by own block, then by the other
}

/* log of the sum over parts of e^(level - curve (x - centre)^2). Most of the page's time is spent here. */
function logSum(x, levels, parts) {
  let top = -Infinity, sum = 0;
  for (let k = 0; k < parts.length; k++) {
    const away = x - parts[k].centre, value = levels[k] - away * away * parts[k].curve;
    if (value > top) {
      sum = sum * Math.exp(top - value) + 1;
      top = value;
    } else if (value > top - 40) sum += Math.exp(value - top);
  }
  return top === -Infinity ? top : top + Math.log(sum);
}

/* log p(x, caption of +1) - log p(x, caption of -1) along a block; the other coordinate is y. */
function along({ blocks, log }, block, y) {
  const own = blocks[block], other = blocks[1 - block];
  const plus = own.map((_, k) => logSum(y, log[block][k], other));
  const minus = own.map((_, k) => logSum(-y, log[block][k], other));
  return (x) => logSum(x, plus, own) - logSum(-x, minus, own);
}

const REACH = 6;  // standard deviations of an image; 2e-9 of them lie beyond
const STEPS = 48;  // between the ends of a group
const NEAR = Array.from({ length: 33 }, (_, k) => Math.sign(k - 16) * (Math.abs(k - 16) / 4 + (Math.abs(k - 16) / 10) ** 3));

/* Places where the sign of the preference is computed: along the group, and around the centres of the Gaussians. */
function searchGrid(means, deviation, parts) {
  const grid = Array.from({ length: STEPS + 1 }, (_, k) => deviation * REACH * (2 * k / STEPS - 1));
  const places = means.flatMap((mean) => grid.map((step) => mean + step));
  const low = Math.min(...places), high = Math.max(...places);
  if (parts.length > 2)
    for (const { centre, curve } of parts)
      for (const k of NEAR) places.push(centre + k / Math.sqrt(2 * curve), -centre + k / Math.sqrt(2 * curve));
  return places.filter((x) => x >= low && x <= high).sort((x, y) => x - y);
}

/* A root of f between low and high, by halving to 1e-10 of their distance; `before`: whether f is positive at low. */
function root(f, low, high, before) {
  for (let round = 0; round < 34; round++) {
    const middle = (low + high) / 2;
    if (f(middle) > 0 === before) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/* P(f > 0) for a normal coordinate, by its mean and deviation: an alternating sum of Phi over the roots between these places. */
function positive(f, places) {
  const signs = places.map((x) => f(x) > 0), roots = [];
  for (let k = 1; k < places.length; k++)
    if (signs[k] !== signs[k - 1]) roots.push(root(f, places[k - 1], places[k], signs[k - 1]));
  const first = signs[0] ? 1 : -1, end = signs.at(-1) ? 1 : 0;
  return (mean, deviation) => roots.reduce((sum, x, k) => sum + (k % 2 ? -first : first) * Phi((x - mean) / deviation), end);
}

const TOLERANCE = 1e-7;  // of a panel

/* Exact along the block with the larger weight in linear CLIP, quadrature over the other. */
function infonce(w, prompt) {
  if (prompt === "bare") return w.bare > 0 ? LEARNERS.bayes(w) : { refused: "no training caption is a bare name" };
  if (!(w.nu > 0)) {
    if (w.detail_inv === 1 || w.detail_spu === 1) return { refused: "without view noise the mutual information is infinite" };
    if (w.mention_spu === 0 && promptOf(w, prompt)[1] !== 0) return { refused: "no caption mentions a background" };
  }
  const what = mixture(w, prompt), deviation = imageVariance(w).map(Math.sqrt), weight = linearDirection(w, prompt);
  if (what.log[0].flat().every((x) => x === -Infinity)) return { common: 0.5, counter: 0.5 };
  const inside = Math.abs(weight[0]) * deviation[0] >= Math.abs(weight[1]) * deviation[1] ? 0 : 1;
  const mean = [[w.mu_inv, w.mu_spu], [w.mu_inv, -w.mu_spu]];  // by group
  const places = searchGrid([...new Set(mean.map((m) => m[inside]))], deviation[inside], what.blocks[inside]);
  const means = (groups) => integral((t) => {
    const y = mean[groups[0]][1 - inside] + deviation[1 - inside] * t, share = positive(along(what, inside, y), places);
    return groups.map((k) => share(mean[k][inside], deviation[inside]) * density(t));
  }, -REACH, REACH, TOLERANCE);
  const [common, counter] = inside === 1 ? means([0, 1]) : [means([0])[0], means([1])[0]];
  return { common, counter };
}

/* ---- the equivalent correlation and the shortfall ---- */

const NEIGHBOURHOOD = 0.005, SMALLEST_CHANGE = 2e-6;  // as in theory/ideal_curve.py

/* The ideal curve as a function of h = log(lambda/(1 - lambda))/2: the accuracies of the Bayes rule of the world whose
 * correlation is lambda. With t normal, u = b (b + t) and tau = labelOdds(u, h)/(2 a), they are the means of
 * Phi(a + tau) and Phi(a - tau). The trapezoid rule needs no more than its step. */
function idealCurve(w) {
  const [S, T] = imageVariance(w), a = w.mu_inv / Math.sqrt(S), b = w.mu_spu / Math.sqrt(T);
  const step = b > 9 ? 0.1 : Math.min(0.1, 0.35 * a / b);  // beyond 9 no t with weight makes u small
  const places = Array.from({ length: 2 * Math.ceil(8.5 / step) + 1 }, (_, k) => step * (k - Math.ceil(8.5 / step)));
  const weights = places.map((t) => step * density(t));
  return (h) => {
    let common = 0, counter = 0;
    places.forEach((t, k) => {
      const tau = labelOdds(b * (b + t), h) / (2 * a);
      common += weights[k] * Phi(a + tau);
      counter += weights[k] * Phi(a - tau);
    });
    return { common, counter, drop: common - counter };
  };
}

/* {correlation, shortfall} of a classifier's accuracies; the correlation is NaN where they do not determine it. */
function equivalent(w, { common, counter }) {
  const ideal = idealCurve(w), drop = common - counter, excess = (h) => ideal(h).drop - drop;
  let h = excess(HALF_LOG_ODDS) <= 1e-12 ? HALF_LOG_ODDS : -HALF_LOG_ODDS;
  if (h < 0 && excess(h) < -1e-12) h = root(excess, -HALF_LOG_ODDS, HALF_LOG_ODDS, false);
  const p = h === HALF_LOG_ODDS ? 1 : h === -HALF_LOG_ODDS ? 0 : 1 / (1 + Math.exp(-2 * h)), best = ideal(h);
  const flat = (q) => q >= 0 && q <= 1 && Math.sign(p - q) * (drop - ideal(halfLogOdds(q)).drop) < SMALLEST_CHANGE;
  return {
    correlation: w.mu_spu === 0 || flat(p - NEIGHBOURHOOD) || flat(p + NEIGHBOURHOOD) ? NaN : p,
    shortfall: p * (best.common - common) + (1 - p) * (best.counter - counter),
  };
}

const LEARNERS = {
  linear: (w, prompt) => ofDirection(w, linearDirection(w, prompt)),
  infonce,
  logistic: (w) => ofDirection(w, logisticDirection(w)),
  "least-squares": (w) => ofDirection(w, leastSquaresDirection(w)),
  bayes: (w) => idealCurve(w)(bayesHalf(w)),
};
