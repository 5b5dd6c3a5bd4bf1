"use strict";
// What the charts of a report share: the values in the page, axes, and the tip that tells of what is pointed at.

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
