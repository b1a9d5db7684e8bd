"use strict";
// Keeps the page as it is now. Everything from outside goes in as text, never as markup.
(() => {
  const byId = (id) => document.getElementById(id);
  const make = (name, attributes, ...inside) => {
    const made = document.createElement(name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    made.append(...inside);
    return made;
  };
  const KEPT = 300; // seconds in the plots
  const SHOWN = 200; // events in the list
  const WORSE = ["info", "notice", "warning", "critical"];
  const samples = new Map(); // by interface: [time, in, out, bits in, bits out]
  let last = 0, answered = null;

  const state = (level, sentence) => {
    const line = byId("state");
    line.className = "state " + level;
    if (line.textContent !== sentence) line.textContent = sentence;
  };

  const rows = (id, all) => byId(id)?.replaceChildren(...all);
  const number = (text) => make("td", { class: "n" }, text);

  const row = ({ name, state, rates, received, dropped, losing }) => {
    const lost = number(String(dropped));
    if (losing) lost.append(" ", make("strong", { class: "bad" }, "▲ growing"));
    const four = rates ? rates.map((rate) => number(Plot.rated(rate, ""))) : [1, 2, 3, 4].map(() => number("–"));
    return make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, state), ...four, number(received === null ? "unknown" : String(received)), lost);
  };
  const depth = ({ class: name, words, percent }) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, words),
    make("td", {}, make("meter", { min: 0, max: 100, low: 99, optimum: 100, value: percent, "aria-label": name }), ` ${percent} %`));

  const keep = (interfaces) => {
    const now = Date.now();
    for (const { name, rates } of interfaces) {
      if (!rates) continue;
      const kept = samples.get(name) ?? [];
      kept.push([now, ...rates]);
      while (kept.length > KEPT) kept.shift();
      samples.set(name, kept);
    }
    for (const name of samples.keys()) if (!interfaces.some((known) => known.name === name)) samples.delete(name);
  };

  const draw = () => {
    const holder = byId("plots");
    if (!holder || document.hidden) return;
    const width = Math.max(280, holder.clientWidth), now = Date.now(), view = [now - KEPT * 1000, now];
    const names = [...samples.keys()], left = Plot.margin(names);
    const scale = { view, width, left, right: 12 };
    const charts = names.map((name) => {
      const kept = samples.get(name), top = Math.max(1, ...kept.map((one) => Math.max(one[1], one[2])));
      const series = (at) => ({ begin: kept[0][0] - 1000, count: kept.length, step: 1000, at: (column) => kept[column][at] });
      const svg = Plot.chart(scale, 110, `Frames a second of ${name} in the last five minutes, received above and sent below the line`);
      Plot.traffic(svg, scale, 110, { name, top, unit: "/s", up: [{ ...series(1), color: "var(--in)" }], down: [{ ...series(2), color: "var(--out)" }], above: "received ▲", below: "sent ▼", log: true });
      return svg;
    });
    holder.replaceChildren(...charts);
  };

  const shows = ({ severity }) => WORSE.indexOf(severity) >= WORSE.indexOf(byId("severity")?.value ?? "info");
  let events = [];
  const list = () => rows("events", events.filter(shows).slice(0, SHOWN).map(({ time, severity, sentence }) =>
    make("tr", {}, make("td", { class: "t" }, time ?? ""), make("td", { class: "sev " + severity }, severity), make("td", {}, sentence ?? ""))));

  const now = (told) => {
    answered = null;
    last = Date.now();
    state(told.level, told.sentence);
    rows("interfaces", told.interfaces.map(row));
    rows("depths", told.depths.map(depth));
    rows("unwell", (told.unwell.length ? told.unwell : [`all ${told.watchers} are well`]).map((line) => make("li", {}, line)));
    rows("waiting", (told.waiting.length ? told.waiting : ["none cools down, none is held"]).map((line) => make("li", {}, line)));
    rows("armed", told.armed.map((line) => make("li", {}, line)));
    if (byId("bundles")) byId("bundles").textContent = "Bundles: " + told.bundles;
    keep(told.interfaces);
    draw();
    // One more bundle: the list is another.
    const known = byId("list")?.dataset.written;
    if (known !== undefined && Number(known) !== told.written) location.reload();
  };

  let source = null;
  const listen = () => {
    source?.close();
    source = new EventSource("/live");
    source.addEventListener("now", (event) => now(JSON.parse(event.data)));
    source.addEventListener("recent", (event) => { events = JSON.parse(event.data).reverse(); list(); });
    source.addEventListener("seen", (event) => { events.unshift(JSON.parse(event.data)); events.length = Math.min(events.length, SHOWN * 4); list(); });
    source.addEventListener("missed", (event) => { events.unshift({ time: "", severity: "warning", sentence: `${event.data} events were missed here: this page was too slow` }); list(); });
    source.addEventListener("error", () => {
      answered ??= new Date(last || Date.now()).toISOString().slice(11, 19);
      state("gone", `no answer since ${answered} UTC; trying again`);
      // Refused for good, as after a restart: the browser gives up by itself, this page does not.
      if (source.readyState !== EventSource.CLOSED) return;
      setTimeout(listen, 2000);
      // It answers, and knows this browser no more.
      fetch("/about").then(({ status }) => { if (status === 401) state("gone", "dashcap was started again and wants a new ticket: dashcap web prints its address"); }, () => {});
    });
  };
  document.addEventListener("visibilitychange", () => { if (document.hidden) { source?.close(); source = null; } else listen(); });
  addEventListener("resize", draw);
  byId("severity")?.addEventListener("change", list);

  byId("snapshot")?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = new URLSearchParams({ reason: byId("reason").value, script: "1" });
    const verdict = byId("verdict");
    verdict.textContent = "asking …";
    try {
      const answer = await fetch("/snapshot", { method: "POST", body });
      verdict.textContent = await answer.text();
    } catch {
      verdict.textContent = "no answer: nothing is known of a snapshot";
    }
  });
  if (!document.hidden) listen();
})();
