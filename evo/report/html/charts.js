"use strict";
// Draws the charts of a report from the values in the page. Everything is drawn again when the width changes.

const course = JSON.parse(document.getElementById("course").textContent);
const places = JSON.parse(document.getElementById("drawn").textContent);
const tip = document.getElementById("tip");
const namespace = new DOMParser().parseFromString("<svg></svg>", "text/html").querySelector("svg").namespaceURI;

const candidates = course.candidates.map(([number, edges, error, trainable, depth, generation, family, operator, parents]) =>
  ({ number, edges, error, trainable, depth, generation, family, operator, parents }));
const byNumber = new Map(candidates.map(one => [one.number, one]));
const sampled = course.sampled.map(([number, edges, error]) => ({ number, edges, error }));

/** A number as people read it. */
function told(value, digits = 4) {
  return value === null || value === undefined ? "failed" : Number(value.toPrecision(digits)).toString();
}

/** What the tip says of a candidate. */
function about(one) {
  const from = one.parents.length ? ` of ${one.parents.join(" and ")}` : "";
  return `candidate ${one.number}${one.number === course.champion ? ", the champion" : ""}\n${one.operator}${from}, ` +
    `generation ${one.generation}, ${course.families[one.family].name}\nsearch error ${told(one.error)}\n` +
    `${one.edges} edges, ${one.trainable} trainable, depth ${one.depth}`;
}

function aboutSampled(one) {
  return `random search ${one.number}\nsearch error ${told(one.error)}\n${one.edges} edges`;
}

function make(parent, name, attributes = {}, text = null) {
  const node = document.createElementNS(namespace, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  return parent.appendChild(node);
}

/** Round numbers between two ends, some four to seven. */
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(one => one * power).find(one => one >= rough);
  const found = [];
  for (let place = Math.ceil(low / step); place * step <= high + 1e-9 * step; place++) {
    found.push(Number((place * step).toPrecision(12)));
  }
  return found;
}

/** Axes in a figure; returns what draws in them, in data's units. Points that are added can be pointed at. */
function axes(figure, label, x, y, xName, yName, height = 380) {
  figure.querySelector("svg")?.remove();
  const width = Math.max(figure.clientWidth, 280);
  const left = 58, right = 14, top = 26, bottom = 42;
  const svg = make(figure, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  figure.prepend(svg);
  const across = value => left + (value - x[0]) / (x[1] - x[0]) * (width - left - right);
  const up = value => height - bottom - (value - y[0]) / (y[1] - y[0]) * (height - top - bottom);
  for (const value of ticks(...x, width < 500 ? 4 : 7)) {
    make(svg, "line", { x1: across(value), x2: across(value), y1: top, y2: height - bottom, stroke: "var(--grid)" });
    make(svg, "text", { x: across(value), y: height - bottom + 16, "text-anchor": "middle" }, told(value, 6));
  }
  for (const value of ticks(...y, 6)) {
    make(svg, "line", { x1: left, x2: width - right, y1: up(value), y2: up(value), stroke: "var(--grid)" });
    make(svg, "text", { x: left - 6, y: up(value) + 4, "text-anchor": "end" }, told(value, 6));
  }
  make(svg, "text", { x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle" }, xName);
  make(svg, "text", { x: 4, y: 14 }, yName);
  make(make(svg, "clipPath", { id: `${figure.id}-clip` }), "rect",
    { x: left, y: top, width: width - left - right, height: height - top - bottom });
  const points = [];
  const inside = (a, b) => b !== null && b <= y[1] && b >= y[0] && a >= x[0] && a <= x[1];
  const chart = {
    svg, across, up, width, left, right, top, bottom, height,
    /** Dots of one colour as one path; every one tells of itself. */
    dots(list, place, { colour, size = 7, opacity = 0.65, ring = false, tell }) {
      const shown = list.filter(one => inside(...place(one)));
      if (ring) {
        for (const one of shown) {
          const [a, b] = place(one);
          make(svg, "circle", { cx: across(a), cy: up(b), r: size / 2, fill: "none", stroke: colour,
            "stroke-width": 1.5, class: "colour" });
        }
      } else {
        const path = shown.map(one => place(one)).map(([a, b]) => `M${across(a).toFixed(1)} ${up(b).toFixed(1)}h0`).join("");
        make(svg, "path", { d: path, stroke: colour, "stroke-width": size, "stroke-linecap": "round", opacity,
          class: "colour" });
      }
      if (tell) for (const one of shown) points.push([across(place(one)[0]), up(place(one)[1]), () => tell(one)]);
    },
    line(list, attributes, step = false) {
      let path = "";
      list.forEach(([a, b], number) => {
        const px = across(a).toFixed(1), py = up(b).toFixed(1);
        path += number === 0 ? `M${px} ${py}` : step ? `H${px}V${py}` : `L${px} ${py}`;
      });
      make(svg, "path", { d: path, fill: "none", "clip-path": `url(#${figure.id}-clip)`, ...attributes });
    },
    diamond(a, b, colour, tell) {
      if (!inside(a, b)) return;
      const px = across(a), py = up(b);
      make(svg, "path", { d: `M${px - 7} ${py}L${px} ${py - 7}L${px + 7} ${py}L${px} ${py + 7}Z`, fill: colour,
        stroke: "var(--card)", "stroke-width": 1.5, class: "colour" });
      points.push([px, py, tell]);
    },
    say(text, px, py, anchor) {
      make(svg, "text", { x: px, y: py, "text-anchor": anchor, class: "strong" }, text);
    },
  };
  const mark = make(svg, "circle", { r: 8, fill: "none", stroke: "var(--ink)", "stroke-width": 2, visibility: "hidden" });
  const point = event => {
    const box = svg.getBoundingClientRect(), scale = width / box.width;
    const px = (event.clientX - box.left) * scale, py = (event.clientY - box.top) * scale;
    let nearest = null, least = 24 ** 2;
    for (const one of points) {
      const distance = (one[0] - px) ** 2 + (one[1] - py) ** 2;
      if (distance <= least) [nearest, least] = [one, distance];
    }
    mark.setAttribute("visibility", nearest ? "visible" : "hidden");
    if (nearest) {
      svg.append(mark);
      mark.setAttribute("cx", nearest[0]);
      mark.setAttribute("cy", nearest[1]);
    }
    show(event, nearest && nearest[2]());
  };
  listen(svg, point, () => mark.setAttribute("visibility", "hidden"));
  return chart;
}

function listen(svg, point, leave) {
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", () => { tip.hidden = true; leave(); });
}

/** The tip beside the pointer, within the window. */
function show(event, text) {
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 4))}px`;
  tip.style.top = `${event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18}px`;
}

const plane = one => [one.edges, one.error];
const visible = [...candidates, ...sampled, ...course.members].filter(one => one.error !== null && one.error <= course.range[1]);
const edges = visible.map(one => one.edges);
const margin = 0.04 * (Math.max(...edges) - Math.min(...edges)) || 1;
const edgeRange = visible.length ? [Math.min(...edges) - margin, Math.max(...edges) + margin] : [0, 1];
const EDGES = "edges, trainable and constant";
let only = null;

function front() {
  const figure = document.getElementById("front");
  const chart = axes(figure, "error against edges", edgeRange, course.range, EDGES, course.error, 440);
  chart.dots(sampled, plane, { colour: "var(--soft)", size: 3, opacity: only === null ? 0.45 : 0.15, tell: aboutSampled });
  course.families.forEach((family, number) => {
    const shown = only === null || only === number;
    const own = candidates.filter(one => one.family === number);
    chart.dots(own, plane, { colour: family.colour, opacity: shown ? 0.7 : 0.08, tell: shown ? about : null });
  });
  chart.line(course.front, { stroke: "var(--ink)", "stroke-width": 1.3, opacity: 0.8 }, true);
  for (const one of course.members) {
    chart.diamond(one.edges, one.error, one.colour, () =>
      `${one.name}, hand-derived\n${one.label}\nsearch error ${told(one.error)}\n${one.edges} edges`);
  }
  champion(chart);
}

function champion(chart) {
  const found = byNumber.get(course.champion);
  if (!found || found.error > course.range[1]) return;
  const px = chart.across(found.edges), py = chart.up(found.error);
  make(chart.svg, "circle", { cx: px, cy: py, r: 9, fill: "none", stroke: "var(--ink)", "stroke-width": 2 });
  const end = px > chart.width / 2;
  chart.say("champion", px + (end ? -12 : 12), py + 16, end ? "end" : "start");
}

function familyLegend() {
  const legend = document.createElement("div");
  legend.className = "legend";
  course.families.forEach((family, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = family.name;
    button.style.setProperty("--swatch", family.colour);
    const choose = value => () => { only = value; front(); };
    button.addEventListener("pointerenter", choose(number));
    button.addEventListener("pointerleave", choose(null));
    button.addEventListener("focus", choose(number));
    button.addEventListener("blur", choose(null));
    legend.append(button);
  });
  document.getElementById("front").append(legend);
}

function progress() {
  const last = Math.max(candidates.length, sampled.length, 1);
  const chart = axes(document.getElementById("progress"), "best error so far", [0, last * 1.01], course.range,
    "candidates processed", course.error);
  const order = one => [one.number + 1, one.error];
  chart.dots(sampled, order, { colour: course.best[1].colour, size: 4, opacity: 0.5, tell: aboutSampled });
  chart.dots(candidates, order, { colour: course.best[0].colour, size: 4, opacity: 0.55, tell: about });
  const names = [];
  if (course.baseline.error !== null) {
    chart.line([[0, course.baseline.error], [last, course.baseline.error]],
      { stroke: course.baseline.colour, "stroke-width": 2, "stroke-dasharray": "7 5" });
    names.push([`${course.baseline.name} ${told(course.baseline.error)}`, course.baseline.colour]);
  }
  for (const { name, colour, points } of course.best) {
    if (!points.length) continue;
    chart.line(points, { stroke: colour, "stroke-width": 2.5 }, true);
    names.push([`${name} ${told(points.at(-1)[1])}`, colour]);
  }
  document.querySelector("#progress .legend").replaceChildren(...names.map(([name, colour]) => {
    const word = document.createElement("span");
    word.textContent = name;
    word.style.setProperty("--swatch", colour);
    return word;
  }));
}

const slider = document.getElementById("generation");
slider.max = Math.max(course.populations.length - 1, 0);
const generations = course.populations.map(() => []);
for (const one of candidates) generations[one.generation]?.push(one);

function population() {
  const generation = Number(slider.value), alive = new Set(course.populations[generation] ?? []);
  const chart = axes(document.getElementById("population"), "the population on the plane of error and edges", edgeRange,
    course.range, EDGES, course.error, 440);
  const before = candidates.filter(one => one.generation <= generation);
  chart.dots(before, plane, { colour: "var(--soft)", size: 3, opacity: 0.25 });
  const best = [];
  for (const one of [...before].filter(one => one.error !== null).sort((a, b) => a.edges - b.edges || a.error - b.error)) {
    if (!best.length || one.error < best.at(-1)[1]) best.push(plane(one));
  }
  chart.line(best, { stroke: "var(--ink)", "stroke-width": 1.2, opacity: 0.7 }, true);
  course.families.forEach((family, number) => {
    const own = before.filter(one => one.family === number);
    chart.dots(own.filter(one => alive.has(one.number)), plane, { colour: family.colour, size: 9, opacity: 0.85, tell: about });
    chart.dots(own.filter(one => one.generation === generation && !alive.has(one.number)), plane,
      { colour: family.colour, size: 9, ring: true, tell: about });
  });
  const newcomers = (generations[generation] ?? []).filter(one => alive.has(one.number)).length;
  document.getElementById("told").textContent = course.populations.length
    ? `generation ${generation} of ${slider.max}: ${newcomers} of ${generations[generation].length} bred survived`
    : "no generation was processed yet";
}

function player() {
  let timer = null;
  const button = document.getElementById("play");
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "Play"; };
  button.addEventListener("click", () => {
    if (timer !== null) return stop();
    if (slider.value === slider.max) slider.value = 0;
    button.textContent = "Stop";
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      population();
      if (slider.value === slider.max) stop();
    }, Math.max(60, 9000 / (Number(slider.max) + 1)));
    population();
  });
  slider.addEventListener("input", () => { stop(); population(); });
}

/** The lanes beside the list of ancestors: a child is joined with its parents below it. */
function tree() {
  const holder = document.getElementById("tree");
  if (!holder) return;
  const svg = holder.querySelector("svg"), rows = [...holder.querySelectorAll("li")];
  const x = row => 12 + 18 * Number(rows[row].dataset.lane), y = row => 14 + 28 * row;
  svg.replaceChildren();
  rows.forEach((row, number) => {
    row.dataset.parents.split(" ").filter(Boolean).map(Number).forEach((parent, place) => {
      const [ax, ay, bx, by] = [x(number), y(number), x(parent), y(parent)];
      const turn = bx < ax ? `V${by - 22}C${ax} ${by - 6} ${bx} ${by - 16} ${bx} ${by}`
        : `C${ax} ${ay + 16} ${bx} ${ay + 6} ${bx} ${ay + 22}V${by}`;
      make(svg, "path", { d: `M${ax} ${ay}${bx === ax ? `V${by}` : turn}`, fill: "none", stroke: rows[parent].dataset.colour,
        "stroke-width": place === 0 ? 2.5 : 1.5, "stroke-dasharray": place === 0 ? "none" : "4 3" });
    });
  });
  rows.forEach((row, number) => make(svg, "circle", { cx: x(number), cy: y(number), r: number === 0 ? 7 : 5,
    fill: row.dataset.colour, stroke: "var(--card)", "stroke-width": 1.5 }));
}

/** The champion's layers, those of a place below those of the one before. */
function topology() {
  const figure = document.getElementById("topology");
  if (!figure) return;
  figure.replaceChildren();
  for (const { widths, layers } of places) {
    const widest = Math.max(...widths), width = Math.max(figure.clientWidth, 280);
    const height = Math.min(560, Math.max(160, 8 * widest)), pad = 16;
    const svg = make(figure, "svg", { viewBox: `0 0 ${width} ${height + 24}`, role: "img", "aria-label": "layers and edges" });
    const x = column => pad + column * (width - 2 * pad) / layers.length;
    const y = value => 8 + (value + widest / 2) * (height - 8) / widest;
    const between = (layer, list) => list.map(([a, b]) =>
      `M${x(layer).toFixed(1)} ${y(a).toFixed(1)}L${x(layer + 1).toFixed(1)} ${y(b).toFixed(1)}`).join("");
    layers.forEach((layer, number) => {
      const crowd = (layer.trainable.length + layer.constant.length) / Math.max(widths[number], widths[number + 1]);
      const opacity = Math.min(0.8, Math.max(0.12, 1.5 / Math.max(crowd, 1) ** 0.7));
      make(svg, "path", { d: between(number, layer.trainable), stroke: "var(--trainable)", opacity });
      make(svg, "path", { d: between(number, layer.constant), stroke: "var(--constant)", "stroke-dasharray": "4 3", opacity: Math.min(1, 1.3 * opacity) });
    });
    const chosen = make(svg, "path", { stroke: "var(--ink)", "stroke-width": 2, fill: "none" });
    widths.forEach((count, column) => {
      const dots = Array.from({ length: count }, (_, place) => `M${x(column).toFixed(1)} ${y(place - (count - 1) / 2).toFixed(1)}h0`);
      make(svg, "path", { d: dots.join(""), stroke: "var(--ink)", "stroke-linecap": "round", "stroke-width": Math.min(5, Math.max(1, 0.45 * height / widest)) });
      make(svg, "text", { x: x(column), y: height + 20, "text-anchor": "middle" }, String(count));
    });
    listen(svg, event => {
      const box = svg.getBoundingClientRect(), scale = width / box.width;
      const column = Math.round(((event.clientX - box.left) * scale - pad) / (width - 2 * pad) * layers.length);
      if (column < 0 || column > layers.length) return;
      const count = widths[column], at = ((event.clientY - box.top) * scale - 8) * widest / (height - 8) - widest / 2;
      const place = Math.min(count - 1, Math.max(0, Math.round(at + (count - 1) / 2))), own = place - (count - 1) / 2;
      const of = (layer, end) => layer ? [...layer.trainable, ...layer.constant].filter(edge => edge[end] === own) : [];
      const into = of(layers[column - 1], 1), out = of(layers[column], 0);
      chosen.setAttribute("d", between(column - 1, into) + between(column, out));
      show(event, `${column === 0 ? "input" : column === layers.length ? "output" : `layer ${column}, neuron`} ` +
        `${place + 1} of ${count}\n${into.length} edges in, ${out.length} out`);
    }, () => chosen.setAttribute("d", ""));
  }
}

function draw() {
  front();
  progress();
  population();
  tree();
  topology();
}

familyLegend();
player();
slider.value = slider.max;
let drawnAt = innerWidth;
addEventListener("resize", () => {
  if (innerWidth !== drawnAt) { drawnAt = innerWidth; draw(); }
});
draw();
