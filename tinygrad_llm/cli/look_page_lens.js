// ---- what each block would have said ----
const lensButtons = []; // [row][place]

function makeLens() {
  const head = element("tr");
  const title = (at, came) => {
    const cell = element("th", { scope: "col", textContent: at });
    if (data.shift) cell.append(element("span", { className: "came", textContent: came }));
    head.append(cell);
  };
  title(data.shift ? "after" : "at", "came");
  for (let at = 0; at < T; at++) title(placeName(at), placeName(at + 1));
  const body = element("tbody");
  for (let row = ROWS - 1; row >= 0; row--) {
    const line = element("tr", {}, element("th", { scope: "row", textContent: rowName(row) }));
    lensButtons[row] = data.lens[row].map((tokens, at) => {
      const button = element("button", { type: "button", textContent: name(tokens[0]) });
      button.title = `${rowName(row)}: ${name(tokens[0])} ${percent(data.lens_probabilities[row][at][0])}`;
      button.title += `, entropy ${data.entropy[row][at]}, divergence ${data.divergence[row][at]}`;
      if (tokens[0] === data.tokens[at + data.shift]) button.classList.add("same");
      button.addEventListener("click", () => choose({ row, token: at + data.shift }));
      line.append(element("td", {}, button));
      return button;
    });
    body.append(line);
  }
  byId("lens").append(element("table", {}, element("thead", {}, head), body));
  byId("lens").addEventListener("keydown", moveInLens);
}

function moveInLens(event) {
  const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [1, 0], ArrowDown: [-1, 0] }[event.key];
  if (!step) return;
  event.preventDefault();
  const row = Math.min(Math.max(state.row + step[0], 0), ROWS - 1);
  const token = Math.min(Math.max(state.token + step[1], data.shift), PLACES - 1);
  choose({ row, token });
  lensButtons[row][token - data.shift].focus();
}

function lensLevel(row, at) {
  if (state.measure === "probability") return data.lens_probabilities[row][at][0];
  return Math.sqrt(data[state.measure][row][at] / lensMost[state.measure]);
}
const lensMost = { entropy: Math.max(...data.entropy.flat(), 1e-9), divergence: Math.max(...data.divergence.flat(), 1e-9) };

function showLens() {
  const at = Math.max(state.token - data.shift, 0);
  lensButtons.forEach((buttons, row) => buttons.forEach((button, place) => {
    button.style.setProperty("--level", lensLevel(row, place));
    mark(button, row === state.row && place === at);
  }));
  const answer = `${rowName(state.row)}, ${data.shift ? "after" : "at"} “${placeName(at)}”: entropy ${data.entropy[state.row][at]} nats, `;
  const title = `${answer}divergence from the last row ${data.divergence[state.row][at]} nats.`;
  bars(byId("lens-guesses"), title, data.lens[state.row][at], data.lens_probabilities[state.row][at], data.tokens[at + data.shift]);
}

// Keep the chosen cell in view, without moving the page.
function scrollLens() {
  const button = lensButtons[state.row][Math.max(state.token - data.shift, 0)];
  const frame = byId("lens").getBoundingClientRect(), box = button.getBoundingClientRect();
  if (box.left < frame.left + 70 || box.right > frame.right) byId("lens").scrollLeft += box.left - frame.left - frame.width / 2;
}

// ---- all of it ----
function render() {
  for (const id of ["layer", "head", "direction", "measure"]) byId(id).value = state[id];
  tokenButtons.forEach((button, t) => mark(button, t === state.token));
  showGuesses(state.token);
  showAttended();
  const colour = strong();
  showHeads(colour);
  showMatrix(colour);
  showLens();
  scrollLens();
}

byId("model").textContent = `${data.model}. ${data.n_prompt} tokens given, ${T - data.n_prompt} written.`;
byId("text").textContent = data.text;
makeLens();
readAddress();
render();
window.addEventListener("hashchange", () => { readAddress(); render(); });
window.addEventListener("resize", () => showMatrix(strong()));
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", render);
