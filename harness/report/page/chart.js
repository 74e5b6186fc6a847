"use strict";
// The filters, the chart and the table. Texts reach the document through textContent only: nothing a model wrote is read as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const state = { panel: null, cell: null, hidden: new Set() };

const unique = (values) => [...new Set(values)];
const modelOf = (panel) => `${panel.model} (${panel.data})`;
// Plotly reads a little markup in hover texts and names.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function element(tag, text, properties = {}) {
  return Object.assign(document.createElement(tag), { textContent: text }, properties);
}

function fill(select, values, names = values) {
  const before = select.value;
  select.replaceChildren(...values.map((value, i) => element("option", names[i], { value })));
  if (values.includes(before)) select.value = before;
}

function choosePanel() {
  const ofModel = data.panels.filter((panel) => modelOf(panel) === at("model").value);
  fill(at("task"), unique(ofModel.map((panel) => panel.task)), unique(ofModel.map((panel) => panel.task_name)));
  const ofTask = ofModel.filter((panel) => panel.task === at("task").value);
  fill(at("metric"), unique(ofTask.map((panel) => panel.metric)), unique(ofTask.map((panel) => panel.metric_name)));
  state.panel = ofTask.find((panel) => panel.metric === at("metric").value);
  state.cell = null;
  at("reader").hidden = true;
  at("overlay-label").hidden = state.panel.published.length === 0;
  listMethods();
  draw();
}

function listMethods() {
  const first = new Map(state.panel.cells.map((cell) => [cell.variant, cell]));
  at("methods").replaceChildren(...[...first.keys()].map((variant) => {
    const label = element("label", "");
    const box = element("input", "", { type: "checkbox", value: variant, checked: !state.hidden.has(variant) });
    const swatch = element("span", "", { className: "swatch" });
    swatch.style.background = first.get(variant).color;
    label.append(box, swatch, element("span", variant));
    return label;
  }));
}

const shown = () => state.panel.cells.filter((cell) => !state.hidden.has(cell.variant));
const valid = (cell) => cell.value !== null && cell.note === "";

function hover(cell) {
  const lines = [cell.variant, cell.setting, `${cell.score}, n = ${cell.n}`, cell.difference && `vs dense ${cell.difference}`,
    `ratio ${cell.ratio}, memory ${cell.memory}`, cell.verdict];
  return lines.filter(Boolean).map(plain).join("<br>");
}

function traces() {
  const cells = shown().filter(valid);
  const found = unique(cells.map((cell) => cell.variant)).map((variant) => {
    const mine = cells.filter((cell) => cell.variant === variant).sort((a, b) => a.x - b.x);
    return {
      type: "scatter", mode: mine.length > 1 ? "lines+markers" : "markers", name: plain(variant),
      x: mine.map((cell) => cell.x), y: mine.map((cell) => cell.value), customdata: mine.map((cell) => cell.cell),
      error_y: { array: mine.map((cell) => cell.stderr ?? 0), thickness: 1, width: 3 },
      text: mine.map(hover), hovertemplate: "%{text}<extra></extra>",
      marker: { symbol: mine[0].symbol, size: 10 }, line: { color: mine[0].color, dash: mine[0].dash },
    };
  });
  return found.concat(at("overlay").checked ? publishedTraces() : []);
}

function publishedTraces() {
  const drawn = unique(shown().map((cell) => cell.method));
  return drawn.map((method) => {
    const mine = state.panel.published.filter((point) => point.method === method).sort((a, b) => a.x - b.x);
    return mine.length === 0 ? null : {
      type: "scatter", mode: "lines+markers", name: `${plain(method)}, published`, x: mine.map((point) => point.x),
      y: mine.map((point) => point.value), line: { color: mine[0].color, dash: "dot", width: 1 },
      text: mine.map((point) => plain(`published ${point.method} ${point.setting}: ${point.value}`)),
      hovertemplate: "%{text}<extra></extra>", marker: { symbol: `${mine[0].symbol.replace("-open", "")}-open`, size: 9 },
    };
  }).filter(Boolean);
}

function layout() {
  const dense = shown().find((cell) => cell.method === "dense" && valid(cell));
  const line = dense && { type: "line", xref: "paper", x0: 0, x1: 1, y0: dense.value, y1: dense.value, line: { dash: "dash", width: 1 } };
  const band = dense && dense.stderr !== null && { type: "rect", xref: "paper", x0: 0, x1: 1, y0: dense.value - dense.stderr,
    y1: dense.value + dense.stderr, fillcolor: "rgba(0,0,0,.07)", line: { width: 0 }, layer: "below" };
  const ratios = [8, 4, 2, 1];
  const label = (ratio) => `${ratio === 1 ? "dense" : `1/${ratio}`}<br>${(state.panel.dense_bytes / ratio / 1e6).toPrecision(3)} MB`;
  return {
    margin: { l: 60, r: 10, t: 10, b: 60 }, showlegend: false, hovermode: "closest", shapes: [line, band].filter(Boolean),
    xaxis: { type: "log", title: { text: `bytes moved per token${plain(state.panel.precision)}, log scale` },
      tickvals: ratios.map((ratio) => state.panel.dense_bytes / ratio), ticktext: ratios.map(label) },
    yaxis: { title: { text: `${plain(state.panel.metric_name)} (${state.panel.higher ? "higher" : "lower"} is better)` } },
  };
}

function draw() {
  at("chart-title").textContent = `${state.panel.title}: ${state.panel.metric_name}${state.panel.decided}`;
  at("chart").setAttribute("aria-label", `Trade-off of ${state.panel.title}; the table below has the same numbers`);
  Plotly.react("chart", traces(), layout(), { responsive: true, displayModeBar: false });
  const judged = state.panel.cells.some((cell) => cell.verdict);
  at("cells").querySelector("th.verdict").hidden = !judged;
  at("cells").tBodies[0].replaceChildren(...shown().map((cell) => row(cell, judged)));
}

function row(cell, judged) {
  const line = element("tr", "", { className: cell.cell === state.cell?.cell ? "open" : "" });
  const score = cell.note ? element("td", `gap: ${cell.note}`, { className: "note" }) : element("td", cell.score);
  const texts = [cell.variant, cell.setting, cell.ratio, cell.memory];
  const button = element("button", "Read", { type: "button", ariaLabel: `Read outputs of ${cell.variant} ${cell.setting}` });
  button.addEventListener("click", () => open(cell.cell));
  line.append(element("td", ""), ...texts.map((text) => element("td", text)), score, element("td", cell.difference));
  line.append(element("td", cell.n), element("td", cell.verdict, { hidden: !judged }));
  line.firstChild.append(button);
  return line;
}
