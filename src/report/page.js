"use strict";
// Draws the plots of a report from the JSON in the page. Everything from outside goes in as text, never as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  if (!data.span) return;
  const byId = (id) => document.getElementById(id);
  // Milliseconds with a fraction: enough for microseconds on any axis.
  const ms = (text) => Date.parse(text.slice(0, 23) + "Z") + Number("0." + text.slice(23, 29)) ;
  const offsetMs = (data.offset_minutes ?? 0) * 60000;
  const { wide, rated, node, utc } = Plot;
  const clock = (t) => utc(t) + " UTC" + (data.offset_minutes == null ? "" : " (local " + utc(t + offsetMs).slice(11) + ")");
  const whole = [ms(data.span.from), Math.max(ms(data.span.to), ms(data.span.from) + 1)];
  let view = whole.slice(), log = true, bits = false, cursor = null, width = 0;
  const MARGIN = { left: Plot.margin(data.interfaces.map(({ name }) => name)), right: 12 };
  const scale = () => ({ view, width, ...MARGIN });
  const COLORS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7a00", "#777777"];
  const x = (t) => Plot.x(scale(), t);
  const timeAt = (px) => view[0] + (px - MARGIN.left) / (width - MARGIN.left - MARGIN.right) * (view[1] - view[0]);
  const inside = (t) => Plot.inside(scale(), t);

  // Failures and recoveries. A finding that is over has one of each.
  const marks = [];
  data.findings.forEach((entry, number) => {
    const bad = entry.severity === "warning" || entry.severity === "critical";
    const good = /recovered$|_up$/.test(entry.kind);
    if (bad) marks.push({ t: ms(entry.first), good: false, entry, number });
    if (good) marks.push({ t: ms(entry.first), good: true, entry, number });
    else if (bad && entry.over && entry.last !== entry.first && entry.from === "frames") marks.push({ t: ms(entry.last), good: true, entry, number });
  });
  if (data.trigger) marks.push({ t: ms(data.trigger.time), good: false, trigger: true });

  const choose = (number, scroll) => {
    document.querySelectorAll("tr.chosen").forEach((row) => row.classList.remove("chosen"));
    const row = byId("f" + number);
    if (!row) return;
    row.classList.add("chosen");
    if (scroll) row.scrollIntoView({ block: "center" });
  };

  const frame = (holder, height, label) => {
    const svg = Plot.chart(scale(), height, label);
    holder.append(svg);
    return svg;
  };

  const axis = (svg, height) => Plot.axis(svg, scale(), height);

  const drawMarks = (svg, height, about) => {
    for (const mark of marks) {
      if (mark.t < view[0] || mark.t > view[1]) continue;
      if (about && mark.entry && mark.entry.interface && mark.entry.interface !== about) continue;
      const color = mark.trigger ? "var(--mark)" : mark.good ? "var(--good)" : "var(--out)";
      const group = node("g", { class: mark.good ? "mark recovery" : "mark failure" });
      group.append(node("line", { x1: x(mark.t), x2: x(mark.t), y1: 10, y2: height - 14, stroke: color, "stroke-width": mark.trigger ? 2 : 1.2, "stroke-dasharray": mark.trigger ? "none" : mark.good ? "1 3" : "5 3" }));
      const [left, middle, right] = [x(mark.t) - 5, x(mark.t), x(mark.t) + 5];
      group.append(node("polygon", { points: mark.good ? `${left},10 ${right},10 ${middle},1` : `${left},1 ${right},1 ${middle},10`, fill: color }));
      const said = mark.trigger ? "trigger: " + data.trigger.sentence : (mark.good ? "over: " : "") + mark.entry.sentence;
      group.append(node("title", {}, clock(mark.t) + "\n" + said));
      if (!mark.trigger) group.addEventListener("click", () => choose(mark.number, true));
      svg.append(group);
    }
  };

  const listen = (svg) => {
    let from = null, box = null;
    const place = (event) => event.clientX - svg.getBoundingClientRect().left;
    svg.addEventListener("pointerdown", (event) => { if (event.button === 0) from = place(event); });
    svg.addEventListener("pointermove", (event) => {
      point(timeAt(place(event)));
      if (from === null || Math.abs(place(event) - from) < 4) return;
      box ??= svg.appendChild(node("rect", { y: 0, height: svg.getAttribute("height"), fill: "var(--in)", opacity: 0.2 }));
      box.setAttribute("x", Math.min(from, place(event)));
      box.setAttribute("width", Math.abs(place(event) - from));
    });
    svg.addEventListener("pointerup", (event) => {
      if (box) show([timeAt(from), timeAt(place(event))].sort((a, b) => a - b));
      box?.remove();
      from = box = null;
    });
    svg.addEventListener("pointerleave", () => { box?.remove(); from = box = null; });
    svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey) return;
      event.preventDefault();
      zoom(event.deltaY < 0 ? 0.7 : 1 / 0.7, timeAt(place(event)));
    }, { passive: false });
    svg.addEventListener("keydown", keys);
  };

  const shaped = (series) => ({ begin: ms(series.begin), step: series.step_s * 1000, count: series.values.length, at: (column) => rate(series, column) });
  const columns = (series) => ({ ...shaped(series), ...Plot.columns(scale(), shaped(series)) });
  const rate = (series, column) => (series.values[column] ?? 0) / series.step_s * (series.kind === "frames" ? 1 : 8);
  const valueAt = (series, t) => rate(series, Math.floor((t - ms(series.begin)) / (series.step_s * 1000)));
  const scaled = (n, top) => Plot.scaled(n, top, log);
  const topOf = (all) => Math.max(1, ...all.flatMap((series) => {
    const { first, last } = columns(series);
    const rates = [];
    for (let column = first; column <= last; column++) rates.push(rate(series, column));
    return rates.length ? [rates.reduce((a, b) => Math.max(a, b), 0)] : [];
  }));

  const traffic = () => {
    const holder = byId("traffic");
    for (const { name } of data.interfaces) {
      const all = data.series.filter((series) => series.interface === name && series.kind === (bits ? "bytes" : "frames"));
      if (!all.length) continue;
      const height = 150, up = all.filter((series) => series.direction !== "outbound"), down = all.filter((series) => series.direction === "outbound");
      const svg = frame(holder, height, `Traffic of ${name} over time, received above and sent below the line`);
      Plot.traffic(svg, scale(), height, {
        name, top: topOf(all), log, unit: bits ? "bit/s" : "/s",
        up: up.map((series) => ({ ...shaped(series), color: series.direction === "inbound" ? "var(--in)" : "var(--unknown)" })),
        down: down.map((series) => ({ ...shaped(series), color: "var(--out)" })),
        above: up[0]?.direction === "inbound" ? "received ▲" : "any way ▲", below: "sent ▼",
      });
      drawMarks(svg, height, name);
      listen(svg);
    }
  };

  const tracks = () => {
    const holder = byId("tracks"), rows = data.tracks.length, lines = rows * 24, height = lines + 60;
    const svg = frame(holder, height, "States over time, and events of hosts");
    const stripes = node("pattern", { id: "bad", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
    stripes.append(node("rect", { width: 6, height: 6, fill: "var(--out)", opacity: 0.35 }), node("line", { x1: 0, x2: 0, y1: 0, y2: 6, stroke: "var(--out)", "stroke-width": 4 }));
    svg.append(node("defs", {}));
    svg.lastChild.append(stripes);
    axis(svg, height);
    data.tracks.forEach((track, row) => {
      const y = 14 + row * 24, named = wide(track.name) + 2;
      track.states.forEach((state, number) => {
        const from = ms(state.from), to = number + 1 < track.states.length ? ms(track.states[number + 1].from) : whole[1];
        if (to < view[0] || from > view[1]) return;
        const left = x(inside(from)), long = Math.max(1, x(inside(to)) - left);
        const bar = node("rect", { x: left, y: y + 11, width: long, height: 9, fill: state.good ? "var(--in)" : "url(#bad)" });
        bar.append(node("title", {}, `${track.name}: ${state.state}, from ${clock(from)}`));
        svg.append(bar);
        const begin = Math.max(left + 2, named), room = left + long - begin;
        if (!state.good && wide(state.state) <= room) svg.append(node("text", { x: begin, y: y + 9 }, state.state));
      });
      svg.append(node("text", { x: 2, y: y + 9 }, track.name));
    });
    for (const event of data.events) {
      const t = ms(event.time);
      if (t < view[0] || t > view[1]) continue;
      const tick = node("circle", { cx: x(t), cy: lines + 32, r: 4, fill: event.kind === "log" ? "var(--in)" : "var(--ink)" });
      tick.append(node("title", {}, clock(t) + "\n" + event.sentence));
      svg.append(tick);
    }
    svg.append(node("text", { x: 2, y: lines + 28 }, data.events.length ? "logs, host" : "no host events"));
    drawMarks(svg, height);
    listen(svg);
  };

  const protocols = () => {
    const all = data.series.filter((series) => series.kind === "protocol");
    if (!all.length) return;
    const height = 150, svg = frame(byId("protocols"), height, "Bits a second of each protocol over time");
    const { begin, step, first } = columns(all[0]), last = Math.max(...all.map((series) => columns(series).last));
    const sums = [];
    for (let column = first; column <= last; column++) sums.push(all.reduce((sum, series) => sum + rate(series, column), 0));
    const top = Math.max(1, sums.reduce((a, b) => Math.max(a, b), 0)), size = height - 28, base = height - 16;
    axis(svg, height);
    // Stacked in parts of each column's height, so that small protocols are seen beside a storm.
    let under = sums.map(() => 0);
    all.forEach((series, number) => {
      const over = under.map((sum, at) => sum + rate(series, first + at));
      const y = (sums_, at) => base - size * scaled(sums[at], top) * (sums[at] ? sums_[at] / sums[at] : 0);
      let path = "", back = "";
      over.forEach((_, at) => {
        const [left, right] = [x(inside(begin + (first + at) * step)), x(inside(begin + (first + at + 1) * step))];
        path += `${at ? "L" : "M"}${left},${y(over, at)}L${right},${y(over, at)}`;
        back = `L${right},${y(under, at)}L${left},${y(under, at)}` + back;
      });
      const part = node("path", { d: path + back + "Z", fill: COLORS[number % COLORS.length], stroke: "var(--paper)", "stroke-width": 0.4 });
      part.append(node("title", {}, series.protocol));
      svg.append(part);
      under = over;
    });
    svg.append(node("text", { x: 2, y: 22 }, rated(top, "bit/s")));
    listen(svg);
  };

  const key = (holder, color, text) => {
    const span = document.createElement("span"), box = document.createElement("i");
    span.className = "key";
    box.style.background = color;
    span.append(box, text);
    holder.append(span);
  };
  for (const [color, text] of [["var(--in)", "received"], ["var(--out)", "sent"], ["var(--unknown)", "way unknown"], ["var(--mark)", "▼ symptom"], ["var(--out)", "▼ failure"], ["var(--good)", "▲ over, recovered"]]) key(byId("keys"), color, text);
  data.series.filter((series) => series.kind === "protocol").forEach((series, number) => key(byId("protocol-keys"), COLORS[number % COLORS.length], series.protocol));

  // The moment under the pointer, in every plot and in words.
  const point = (t) => {
    cursor = Math.min(Math.max(t, view[0]), view[1]);
    document.querySelectorAll("svg.chart").forEach((svg) => {
      const line = svg.querySelector(".cursor") ?? svg.appendChild(node("line", { class: "cursor", y1: 0, y2: svg.getAttribute("height"), stroke: "var(--ink)", "stroke-width": 0.8, "pointer-events": "none" }));
      line.setAttribute("x1", x(cursor));
      line.setAttribute("x2", x(cursor));
    });
    const words = data.series.filter((series) => series.kind === (bits ? "bytes" : "frames"))
      .map((series) => `${series.interface} ${{ inbound: "in", outbound: "out" }[series.direction] ?? ""} ${rated(valueAt(series, cursor), bits ? "bit/s" : "/s")}`);
    for (const track of data.tracks) {
      const state = track.states.findLast((state) => ms(state.from) <= cursor);
      if (state) words.push(`${track.name} ${state.state}`);
    }
    byId("values").textContent = clock(cursor) + ": " + words.join(" · ");
  };

  const draw = () => {
    width = Math.max(280, byId("traffic").clientWidth);
    const focused = [...document.querySelectorAll("svg.chart")].indexOf(document.activeElement);
    for (const id of ["traffic", "tracks", "protocols"]) byId(id).replaceChildren();
    traffic(); tracks(); protocols();
    if (focused >= 0) document.querySelectorAll("svg.chart")[focused]?.focus({ preventScroll: true });
    if (cursor !== null) point(cursor);
  };
  const show = ([from, to]) => {
    const least = 0.01, length = Math.min(Math.max(to - from, least), whole[1] - whole[0]);
    from = Math.min(Math.max(from, whole[0]), whole[1] - length);
    view = [from, from + length];
    draw();
  };
  const zoom = (factor, around = cursor ?? (view[0] + view[1]) / 2) => show([around - (around - view[0]) * factor, around + (view[1] - around) * factor]);
  const move = (part) => show(view.map((t) => t + part * (view[1] - view[0])));
  const keys = (event) => {
    const dot = (view[1] - view[0]) / (width - MARGIN.left - MARGIN.right);
    const at = cursor ?? (view[0] + view[1]) / 2;
    const act = { "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), "0": () => show(whole), PageUp: () => move(-0.5), PageDown: () => move(0.5),
      ArrowLeft: () => point(at - dot * (event.shiftKey ? 20 : 2)), ArrowRight: () => point(at + dot * (event.shiftKey ? 20 : 2)) }[event.key];
    if (act && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); act(); }
  };
  const around = (from, to) => { const edge = Math.max((to - from) * 0.1, 500); show([from - edge, to + edge]); };
  const on = (id, act) => byId(id)?.addEventListener("click", act);
  on("closer", () => zoom(0.5)); on("wider", () => zoom(2)); on("all", () => show(whole));
  on("earlier", () => move(-0.5)); on("later", () => move(0.5));
  on("incident", () => around(ms(data.onset.time), ms(data.trigger.time)));
  on("scale", (event) => { log = !log; event.target.setAttribute("aria-pressed", log); draw(); });
  on("unit", (event) => { bits = !bits; event.target.setAttribute("aria-pressed", bits); draw(); });
  document.querySelectorAll("tr[data-finding]").forEach((row) => {
    const act = () => { const entry = data.findings[row.dataset.finding]; choose(row.dataset.finding, false); around(ms(entry.first), ms(entry.last)); byId("traffic").scrollIntoView({ block: "start" }); };
    row.addEventListener("click", act);
    row.addEventListener("keydown", (event) => { if (event.key === "Enter") act(); });
  });
  let waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(draw, 100); });
  addEventListener("beforeprint", draw);
  draw();
  document.documentElement.dataset.drawn = marks.length;
})();
