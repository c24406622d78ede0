"use strict";
// What look_page.py wrote as JSON. Tokens are numbers in `vocabulary`, whose entries are [text, id].
const data = JSON.parse(document.getElementById("data").textContent);
const T = data.tokens.length;
const ROWS = data.lens.length; // of the lens: the first block's input, then every block
const PLACES = T + data.shift; // one may choose the place after the text, where the model writes
const byId = (id) => document.getElementById(id);

// ---- the numbers ----
const bytes = Uint8Array.from(atob(data.attention), (character) => character.charCodeAt(0));
const rowStart = (from) => (data.shift ? (from * (from + 1)) / 2 : from * T); // the triangle only, where none looks ahead
const perHead = rowStart(T);

function weight(layer, head, from, to) {
  if (data.shift && to > from) return 0;
  if (head >= 0) return bytes[(layer * data.n_heads + head) * perHead + rowStart(from) + to] / 255;
  let sum = 0; // head −1 is the mean of all
  for (let each = 0; each < data.n_heads; each++) sum += weight(layer, each, from, to);
  return sum / data.n_heads;
}

const name = (token) => data.vocabulary[token][0];
const placeName = (t) => (t < T ? name(data.tokens[t]) : "…");
const rowName = (row) => (row === 0 ? "input" : `block ${row - 1}`);
const percent = (p) => `${(100 * p).toFixed(1)}%`;

// ---- what is chosen, also in the address: #token=5&layer=3&head=-1&row=30 ----
const LIMITS = { token: [0, PLACES - 1], layer: [0, data.n_layers - 1], head: [-1, data.n_heads - 1], row: [0, ROWS - 1] };
const CHOICES = { direction: ["from", "to"], measure: ["probability", "entropy", "divergence"] };
const state = { token: firstToken(), layer: data.layer, head: data.head, row: ROWS - 1, direction: "from", measure: "probability" };

function firstToken() {
  if (data.n_prompt < PLACES) return data.n_prompt;
  const expected = data.probabilities.map((p) => p ?? -1); // of a BERT: the first [MASK], else what it expects least
  return expected.indexOf(Math.min(...expected));
}

function readAddress() {
  for (const [key, value] of new URLSearchParams(location.hash.slice(1))) {
    if (CHOICES[key]?.includes(value)) state[key] = value;
    if (!LIMITS[key] || !/^-?\d{1,6}$/.test(value)) continue;
    const [low, high] = LIMITS[key];
    state[key] = Math.min(Math.max(Number(value), low), high);
  }
}

function choose(changes) {
  Object.assign(state, changes);
  history.replaceState(null, "", `#${new URLSearchParams(state)}`);
  render();
}

// ---- elements ----
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function tokenButton(t) {
  const button = element("button", { type: "button", className: "token", textContent: placeName(t) });
  button.dataset.token = t;
  if (t < data.n_prompt) button.classList.add("prompt");
  return button;
}

function tokenStrip(id, places) {
  const strip = byId(id);
  for (let t = 0; t < places; t++) {
    const button = tokenButton(t);
    button.addEventListener("click", () => choose({ token: t }));
    strip.append(button);
    if (placeName(t).endsWith("⏎")) strip.append(element("span", { className: "break" }));
  }
  strip.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    choose({ token: Math.min(Math.max(state.token + step, 0), places - 1) });
    strip.querySelector(`[data-token="${state.token}"]`).focus();
  });
  return [...strip.querySelectorAll("button")];
}

function mark(button, isChosen) {
  button.setAttribute("aria-pressed", isChosen);
  button.tabIndex = isChosen ? 0 : -1; // Tab stops once in each group; arrow keys go on from there
}

function bars(panel, title, tokens, probabilities, came) {
  const list = element("ol");
  tokens.forEach((token, i) => {
    const bar = element("span", { className: "bar" });
    bar.style.width = percent(probabilities[i]);
    const item = element(
      "li",
      { className: token === came ? "came" : "", title: `id ${data.vocabulary[token][1]}` },
      element("span", { className: "name", textContent: name(token) }),
      element("span", { className: "number", textContent: percent(probabilities[i]) }),
      bar,
    );
    list.append(item);
  });
  panel.replaceChildren(element("p", { textContent: title }), list);
}

// ---- how likely it held each token ----
const tokenButtons = tokenStrip("tokens", PLACES);

function showGuesses(t) {
  if (t < data.shift) {
    byId("guesses").replaceChildren(element("p", { textContent: `“${placeName(t)}” is the first: it was not guessed.` }));
    return;
  }
  const at = t - data.shift;
  let title = "What would come next:";
  if (t < T) {
    const settled = data.settled[at], best = `“${name(data.lens[ROWS - 1][at][0])}”`;
    const p = data.probabilities[t];
    title = `Place ${t}: “${placeName(t)}” ${p == null ? "is a blank" : `had ${percent(p)}, rank ${data.ranks[t]}`}. `;
    title += `From ${rowName(settled)} on, ${best} is the likeliest.`;
  }
  bars(byId("guesses"), title, data.lens[ROWS - 1][at], data.lens_probabilities[ROWS - 1][at], data.tokens[t]);
}

tokenButtons.forEach((button, t) => {
  const p = data.probabilities[t];
  if (p != null) button.style.setProperty("--level", p);
  button.title = p == null ? `place ${t}` : `place ${t}: ${percent(p)}, rank ${data.ranks[t]}`;
  button.addEventListener("mouseenter", () => showGuesses(t));
  button.addEventListener("mouseleave", () => showGuesses(state.token));
});
