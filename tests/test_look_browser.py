"""`look.html` in a browser: headless Chromium, without a network. On Debian: apt-get install chromium."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cli_runs import call
from matplotlib.image import imread

from tinygrad_llm.applications import look
from tinygrad_llm.applications.look_tokens import token_text
from tinygrad_llm.train.fine_tuned import open_model

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.stress,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: apt-get install chromium"),
]
PRETRAINED = Path(__file__).parents[1] / "lessons" / "pretrained"
PROMPT = "</script><script>alert(1)</script>\n 🦖 \u202e"
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--virtual-time-budget=2000"),
    *("--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND"),  # no name leads anywhere
]
ROUNDING = 0.5 / 255 + 0.0006  # to a byte, and then to three digits


def browse(page: Path, *options: str, address: str = "", width: int = 1280) -> SimpleNamespace:
    """The page's DOM when its scripts are done, and what they said on the console."""
    profile = page.parent / "profile"
    options = (f"--user-data-dir={profile}", f"--window-size={width},1600", *(options or ("--dump-dom",)))
    command = [CHROMIUM, *FLAGS, *options, f"{page.as_uri()}{address}"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True, timeout=120)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return SimpleNamespace(dom=done.stdout, console=console)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A page, and what it should show."""
    folder = tmp_path_factory.mktemp("look") / "seen"
    code, _, err = call(
        "look",
        "--from",
        PRETRAINED / "gpt2",
        "--prompt",
        PROMPT,
        "--max-new-tokens",
        "6",
        "--top-k",
        "5",
        "--out",
        folder,
    )
    assert code == 0, err
    model, tokenizer = open_model(PRETRAINED / "gpt2")
    seen = look(model, tokenizer.encode(PROMPT), 6, 5)
    names = [token_text(tokenizer, token) for token in range(tokenizer.vocab_size)]
    return SimpleNamespace(page=folder / "look.html", seen=seen, names=names)


def part(dom: str, name: str) -> str:
    """What stands between the element with that id and the next one with an id."""
    (found,) = re.findall(rf'<\w+ id="{name}"[^>]*>.*?(?=<\w+[^>]* id=|</main>)', dom, re.DOTALL)
    return found


def guesses(dom: str, name: str) -> list[tuple[str, str]]:
    """Tokens and percentages of a panel."""
    found = re.findall(r'<span class="name">(.*?)</span><span class="number">(.*?)</span>', part(dom, name), re.DOTALL)
    return [(html.unescape(token), number) for token, number in found]


def expected(made, row: int, place: int) -> list[tuple[str, str]]:
    lens = made.seen.lens
    tokens, probabilities = lens.tokens[row, place].tolist(), lens.probabilities[row, place].tolist()
    return [(made.names[token], f"{100 * round(p, 5):.1f}%") for token, p in zip(tokens, probabilities, strict=True)]


def test_the_page_comes_up_without_a_word_on_the_console(made):
    shown = browse(made.page)
    T, n_rows = len(made.seen.ids), len(made.seen.lens.tokens)
    assert shown.console == []
    texts = [html.unescape(each) for each in re.findall(r"<button[^>]*>(.*?)</button>", part(shown.dom, "tokens"))]
    assert texts == [*(made.names[token] for token in made.seen.ids.tolist()), "…"]
    assert part(shown.dom, "lens").count("<button") == T * n_rows
    assert part(shown.dom, "heads").count("<canvas") == 4
    assert guesses(shown.dom, "guesses") == expected(made, -1, made.seen.n_prompt - 1)
    assert shown.dom.count("<script") == 2


def test_errors_and_other_scripts_would_be_noticed(made):
    """And the page's policy refuses what is not its own script."""
    text = made.page.read_text(encoding="utf-8")
    other = made.page.with_name("other.html")
    other.write_text(text.replace("</main>", "<script>document.title = 'taken over'</script></main>"), encoding="utf-8")
    shown = browse(other)
    assert any("Content Security Policy" in line for line in shown.console)
    assert "taken over</title>" not in shown.dom
    other.write_text(text.replace('"shift":1', '"shift":"a"'), encoding="utf-8")
    assert any("Error" in line for line in browse(other).console)


@pytest.mark.parametrize("direction", ["from", "to"])
def test_the_address_says_what_is_chosen(made, direction):
    address = f"#layer=1&head=2&token=7&row=1&measure=entropy&direction={direction}&nonsense=1"
    shown = browse(made.page, address=address)
    weights = [float(each) for each in re.findall(r'data-weight="([\d.]+)"', part(shown.dom, "attended"))]
    attention = made.seen.attention[1, 2]
    np.testing.assert_allclose(weights, attention[7] if direction == "from" else attention[:, 7], atol=ROUNDING)
    assert "attention of block 1, head 2:" in shown.dom
    assert guesses(shown.dom, "guesses") == expected(made, -1, 6)
    assert guesses(shown.dom, "lens-guesses") == expected(made, 1, 6)
    assert f"entropy {round(float(made.seen.lens.entropy[1, 6]), 3):g} nats" in part(shown.dom, "lens-guesses")
    (chosen,) = re.findall(r'<button[^>]*aria-pressed="true"[^>]*>', part(shown.dom, "tokens"))
    assert 'data-token="7"' in chosen
    assert 'tabindex="0"' in chosen
    assert shown.console == []


def with_script(made, script: str) -> Path:
    """The page without its policy, so that a test may act in it."""
    text = re.sub(r"<meta http-equiv[^>]*>", "", made.page.read_text(encoding="utf-8"))
    path = made.page.with_name("acted.html")
    path.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    return path


def test_clicks_and_keys_choose(made):
    key = "new KeyboardEvent('keydown', {key: '%s', bubbles: true})"
    script = f"""
        document.querySelector('#tokens [data-token="4"]').click();
        document.activeElement.blur();
        document.getElementById('tokens').dispatchEvent({key % "ArrowRight"});
        document.querySelectorAll('#heads button')[3].click();
        layer.value = 1; layer.dispatchEvent(new Event('change'));
        document.getElementById('lens').dispatchEvent({key % "ArrowDown"});
        document.title = document.activeElement.textContent + location.hash;"""
    shown = browse(with_script(made, script))
    assert shown.console == []
    lens_token = made.names[int(made.seen.lens.tokens[-2, 4, 0])]
    (title,) = re.findall("<title>(.*?)</title>", shown.dom)
    assert html.unescape(title) == f"{lens_token}#token=5&layer=1&head=3&row=1&direction=from&measure=probability"
    weights = [float(each) for each in re.findall(r'data-weight="([\d.]+)"', part(shown.dom, "attended"))]
    np.testing.assert_allclose(weights, made.seen.attention[1, 3, 5], atol=ROUNDING)


@pytest.mark.parametrize("width", [400, 1280])
def test_it_fits_the_window(made, width):
    """In a frame, since no window is narrower than 500 pixels."""
    inner = with_script(made, "parent.postMessage(`${innerWidth} ${document.documentElement.scrollWidth}`, '*')")
    frame = f'<iframe src="{inner.name}" style="border: 0; width: {width}px; height: 900px"></iframe>'
    outer = made.page.with_name("frame.html")
    outer.write_text(f"<script>onmessage = ({{data}}) => document.title = data</script>{frame}", encoding="utf-8")
    (title,) = re.findall("<title>(.*?)</title>", browse(outer).dom)
    assert title == f"{width} {width}"
    picture = made.page.with_name(f"{width}.png")
    browse(made.page, f"--screenshot={picture}", width=width)
    image = imread(picture)
    assert image.shape[1] == width
    assert image[..., :3].std() > 0.05, "not blank"
