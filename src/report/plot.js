"use strict";
// What the plots of a report and of the live page have in common. Names go in as text, never as markup.
const Plot = (() => {
  // Letters are some 6.5 dots wide.
  const wide = (text) => text.length * 6.5 + 8;
  const fitting = (text, room) => wide(text) <= room ? text : text.slice(0, Math.max(1, Math.floor((room - 8) / 6.5) - 1)) + "…";
  // Names stand left of the plots.
  const margin = (names) => Math.min(160, Math.max(64, ...names.map(wide)));
  const rated = (n, unit) => {
    for (const [limit, prefix] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) if (n >= limit) return (n / limit).toPrecision(3) + " " + prefix + unit;
    return (n < 10 ? n.toPrecision(2) : Math.round(n)) + " " + unit;
  };
  const node = (name, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const utc = (t) => new Date(t).toISOString().replace("T", " ").replace("Z", "");

  // A scale has the times in view, in milliseconds, and the dots of the plot: width, left and right of it.
  const x = ({ view, width, left, right }, t) => left + (t - view[0]) / (view[1] - view[0]) * (width - left - right);
  const inside = ({ view }, t) => Math.min(Math.max(t, view[0]), view[1]);

  const chart = ({ width }, height, label) => node("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, height, tabindex: 0, role: "img", "aria-label": label });

  const axis = (svg, scale, height) => {
    const { view, width } = scale;
    const steps = [0.001, 0.01, 0.1, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 3e4, 6e4, 3e5, 6e5, 18e5, 36e5, 216e5, 864e5, 6048e5, 2592e6, 31536e6];
    const most = Math.max(2, Math.floor(width / 110));
    const step = steps.find((s) => (view[1] - view[0]) / s <= most) ?? steps.at(-1) * 10;
    for (let t = Math.ceil(view[0] / step) * step; t <= view[1]; t += step) {
      svg.append(node("line", { x1: x(scale, t), x2: x(scale, t), y1: 4, y2: height - 14, stroke: "var(--line)", "stroke-width": 0.5 }));
      const text = step >= 864e5 ? utc(t).slice(0, 10) : step >= 1000 ? utc(t).slice(11, 19) : utc(t).slice(11, 23);
      svg.append(node("text", { x: x(scale, t), y: height - 2, "text-anchor": "middle" }, text));
    }
  };

  const scaled = (n, top, log) => top <= 0 ? 0 : log ? Math.log10(1 + n) / Math.log10(1 + top) : n / top;

  // A series begins at a time and has so many columns, each a step long, whose values `at` tells.
  const columns = ({ view }, { begin, step, count }) => ({
    first: Math.max(0, Math.floor((view[0] - begin) / step)),
    last: Math.min(count - 1, Math.ceil((view[1] - begin) / step)),
  });
  const area = (svg, scale, series, { top, log }, base, size) => {
    const { begin, step, at, color } = series, { first, last } = columns(scale, series);
    let path = `M${x(scale, inside(scale, begin + first * step))},${base}`;
    for (let column = first; column <= last; column++) {
      const y = base - size * scaled(at(column), top, log);
      path += `L${x(scale, inside(scale, begin + column * step))},${y}L${x(scale, inside(scale, begin + (column + 1) * step))},${y}`;
    }
    path += `L${x(scale, inside(scale, begin + (last + 1) * step))},${base}Z`;
    svg.append(node("path", { d: path, fill: color, "fill-opacity": 0.75, stroke: color, "stroke-width": 0.7 }));
  };

  // One interface: what came above the line, what was sent below it.
  const traffic = (svg, scale, height, drawn) => {
    const { name, top, unit, up, down, above, below } = drawn, half = (height - 28) / 2, middle = 12 + half;
    axis(svg, scale, height);
    for (const series of up) area(svg, scale, series, drawn, middle, half);
    for (const series of down) area(svg, scale, series, drawn, middle, -half);
    svg.append(node("line", { x1: scale.left, x2: scale.width - scale.right, y1: middle, y2: middle, stroke: "var(--ink)" }));
    const label = node("text", { x: 2, y: 22 }, fitting(name, scale.left));
    label.append(node("title", {}, name));
    svg.append(label, node("text", { x: 2, y: 36 }, rated(top, unit)));
    if (up.length) svg.append(node("text", { x: 2, y: middle - 4 }, above));
    if (down.length) svg.append(node("text", { x: 2, y: middle + 14 }, below));
  };

  return { wide, fitting, margin, rated, node, utc, x, inside, chart, axis, scaled, columns, area, traffic };
})();
