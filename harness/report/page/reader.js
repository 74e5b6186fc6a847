"use strict";
// The side-by-side reader, and what happens when something is chosen. Uses chart.js.

function open(id) {
  const subject = data.subjects[state.panel.subject];
  state.cell = state.panel.cells.find((cell) => cell.cell === id);
  at("reader").hidden = false;
  at("reader-title").textContent = `Outputs of ${state.cell.variant} ${state.cell.setting}`;
  at("sampled").textContent = subject.examples.length < subject.of
    ? `${subject.examples.length} of ${subject.of} examples, drawn at random; long texts are cut` : `All ${subject.of} examples`;
  fill(at("example"), subject.examples.map((_, i) => String(i)), subject.examples.map((example) => example.id));
  draw();
  read();
  at("reader-title").focus();
}

function read() {
  const { examples } = data.subjects[state.panel.subject];
  const example = examples[Number(at("example").value)];
  if (!example) return;
  const dense = state.panel.cells.find((cell) => cell.method === "dense");
  const scores = example.scores[state.panel.metric] ?? {};
  const score = (cell) => (cell && scores[cell.cell] !== undefined ? `score ${scores[cell.cell]}` : "no score");
  at("prompt").textContent = example.prompt;
  at("prompt").scrollTop = at("prompt").scrollHeight;
  at("gold").textContent = example.gold;
  at("dense-score").textContent = score(dense);
  at("method-name").textContent = `${state.cell.variant} ${state.cell.setting}`;
  at("method-score").textContent = score(state.cell);
  compare(dense ? example.outputs[dense.cell] : undefined, example.outputs[state.cell.cell]);
  const token = example.first[state.cell.cell];
  const same = dense && example.outputs[dense.cell] === example.outputs[state.cell.cell] ? "No token differs from dense." : "";
  at("first").textContent = token === undefined ? same : `First difference at generated token ${token} (from 0).`;
}

function compare(dense, method) {
  let same = 0;
  while (dense && method && same < Math.min(dense.length, method.length) && dense[same] === method[same]) same += 1;
  for (const [id, text] of [["dense-text", dense], ["method-text", method]]) {
    const known = dense !== undefined && method !== undefined && dense !== method;
    if (text === undefined || text === "") at(id).replaceChildren(element("em", text === "" ? "(a scored text: nothing generated)" : "(not run)"));
    else at(id).replaceChildren(known ? text.slice(0, same) : text, known ? element("mark", text.slice(same)) : "");
  }
}

function step(by) {
  const count = at("example").options.length;
  at("example").selectedIndex = (at("example").selectedIndex + by + count) % count;
  read();
}

fill(at("model"), unique(data.panels.map(modelOf)));
for (const id of ["model", "task", "metric"]) at(id).addEventListener("change", choosePanel);
at("methods").addEventListener("change", (event) => {
  state.hidden[event.target.checked ? "delete" : "add"](event.target.value);
  draw();
});
at("overlay").addEventListener("change", draw);
at("filters").addEventListener("submit", (event) => event.preventDefault());
at("example").addEventListener("change", read);
at("previous").addEventListener("click", () => step(-1));
at("next").addEventListener("click", () => step(1));
at("notices").hidden = data.notices.length === 0;
at("notices").querySelector("summary").textContent = `Notes on what is left out or missing: ${data.notices.length}`;
at("notices").querySelector("ul").append(...data.notices.slice(0, 200).map((notice) => element("li", notice)));
choosePanel();
at("chart").on("plotly_click", (event) => {
  const id = event.points[0].customdata;
  if (id !== undefined) open(id);
});
new ResizeObserver(() => Plotly.Plots.resize("chart")).observe(at("chart"));
document.body.dataset.ready = String(Math.round(performance.now()));
