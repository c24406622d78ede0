// ---- where it looks ----
const attendedButtons = tokenStrip("attended", T);
const headButtons = [];

function options(id, count, firstValue, label) {
  for (let i = firstValue; i < count; i++) byId(id).append(element("option", { value: i, textContent: label(i) }));
  byId(id).addEventListener("change", (event) => choose({ [id]: Number(event.target.value) }));
}
options("layer", data.n_layers, 0, (i) => i);
options("head", data.n_heads, -1, (i) => (i < 0 ? "mean of all" : i));
for (const id of Object.keys(CHOICES)) byId(id).addEventListener("change", (event) => choose({ [id]: event.target.value }));

for (let head = 0; head < data.n_heads; head++) {
  const button = element("button", { type: "button" }, element("canvas", { width: T, height: T }), `head ${head}`);
  button.addEventListener("click", () => choose({ head }));
  headButtons.push(button);
  byId("heads").append(button);
}

function showAttended() {
  const chosen = state.token;
  let note = `“${placeName(chosen)}” is not written yet: choose a token of the text.`;
  const level = (t) => (state.direction === "from" ? weight(state.layer, state.head, chosen, t) : weight(state.layer, state.head, t, chosen));
  attendedButtons.forEach((button, t) => {
    const w = chosen < T ? level(t) : 0;
    button.dataset.weight = w.toFixed(3);
    button.title = `${placeName(t)}: ${w.toFixed(3)}`;
    button.style.setProperty("--level", Math.sqrt(w));
    mark(button, t === Math.min(chosen, T - 1));
  });
  if (chosen < T) {
    const most = attendedButtons.map((_, t) => [level(t), t]).sort((a, b) => b[0] - a[0]).slice(0, 4).filter(([w]) => w > 0);
    const list = most.map(([w, t]) => `“${placeName(t)}” (place ${t}) ${w.toFixed(2)}`).join(", ");
    note = state.direction === "from" ? `“${placeName(chosen)}” looks at ${list}` : `At “${placeName(chosen)}” look ${list || "none"}`;
  }
  byId("attended-note").textContent = note;
}

function pixels(layer, head, colour) {
  const image = new ImageData(T, T);
  for (let from = 0; from < T; from++) {
    for (let to = 0; to < T; to++) image.data.set([...colour, 255 * Math.sqrt(weight(layer, head, from, to))], 4 * (from * T + to));
  }
  return image;
}

const css = (property) => getComputedStyle(document.documentElement).getPropertyValue(property).trim();
const strong = () => { // the colour of maps in this scheme; how much of it stands for a weight
  const hex = css("--bar").slice(1);
  return [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));
};

function showHeads(colour) {
  headButtons.forEach((button, head) => {
    const context = button.firstChild.getContext("2d");
    context.clearRect(0, 0, T, T);
    context.putImageData(pixels(state.layer, head, colour), 0, 0);
    button.setAttribute("aria-pressed", head === state.head);
  });
}

let grid = { left: 0, top: 0, cell: 1 };

function showMatrix(colour) {
  const canvas = byId("matrix");
  const room = Math.min(canvas.parentElement.clientWidth, 760);
  const labels = (room - 90) / T >= 8;
  const margin = labels ? 90 : 4;
  const cell = Math.min(Math.max((room - margin) / T, 1), 24);
  grid = { left: margin, top: margin, cell };
  const side = margin + cell * T + 2;
  const scale = window.devicePixelRatio || 1;
  canvas.width = canvas.height = side * scale;
  canvas.style.width = canvas.style.height = `${side}px`;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.imageSmoothingEnabled = false;
  const map = element("canvas", { width: T, height: T });
  map.getContext("2d").putImageData(pixels(state.layer, state.head, colour), 0, 0);
  context.drawImage(map, margin, margin, cell * T, cell * T);
  context.strokeStyle = css("--line");
  context.strokeRect(margin, margin, cell * T, cell * T);
  context.strokeStyle = css("--chosen");
  context.lineWidth = 2;
  const at = margin + cell * state.token;
  if (state.token < T && state.direction === "from") context.strokeRect(margin, at, cell * T, cell);
  if (state.token < T && state.direction === "to") context.strokeRect(at, margin, cell, cell * T);
  if (labels) matrixLabels(context, margin, cell);
  const which = state.head < 0 ? "the mean of all heads" : `head ${state.head}`;
  canvas.setAttribute("aria-label", `attention of block ${state.layer}, ${which}: row = token that looks, column = where`);
  byId("matrix-note").textContent = "Row: the token that looks. Column: where it looks.";
}

function matrixLabels(context, margin, cell) {
  context.fillStyle = css("--ink");
  context.font = `${Math.min(12, cell * 1.1)}px ui-monospace, monospace`;
  context.textBaseline = "middle";
  const short = (t) => (placeName(t).length > 11 ? `${placeName(t).slice(0, 10)}…` : placeName(t));
  for (let t = 0; t < T; t++) {
    const middle = margin + cell * (t + 0.5);
    context.textAlign = "right";
    context.fillText(short(t), margin - 4, middle, margin - 6);
    context.save();
    context.translate(middle, margin - 4);
    context.rotate(-Math.PI / 2);
    context.textAlign = "left";
    context.fillText(short(t), 0, 0, margin - 6);
    context.restore();
  }
}

function placeInMatrix(event) {
  const box = byId("matrix").getBoundingClientRect();
  const [to, from] = [event.clientX - box.left - grid.left, event.clientY - box.top - grid.top].map((x) => Math.floor(x / grid.cell));
  return from >= 0 && to >= 0 && from < T && to < T ? { from, to } : null;
}
byId("matrix").addEventListener("mousemove", (event) => {
  const at = placeInMatrix(event);
  if (!at) return;
  const w = weight(state.layer, state.head, at.from, at.to).toFixed(3);
  byId("matrix-note").textContent = `“${placeName(at.from)}” (place ${at.from}) looks at “${placeName(at.to)}” (place ${at.to}): ${w}`;
});
byId("matrix").addEventListener("click", (event) => {
  const at = placeInMatrix(event);
  if (at) choose({ token: state.direction === "from" ? at.from : at.to });
});
