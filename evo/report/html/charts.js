// The charts of a report, drawn again when the width changes.

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
