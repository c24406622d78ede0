"""Several texts in one row: each comes out as if it were alone, in the models and in the batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.models import GPT, GPTConfig, Llama, LlamaConfig, resize_token_embeddings
from tinygrad_llm.models.decoder import packed
from tinygrad_llm.text import EncodedChat
from tinygrad_llm.train.packing import PADDING, pack, packed_batch, packed_batches, packed_rows, padding_share

LENGTHS = (5, 1, 9, 3)  # of the texts; 20 places in a row have room for all, and two for padding
MODELS = {
    "gpt": lambda rng: GPT(GPTConfig(31, 20, n_layers=2, n_heads=2, d_model=16, dropout=0.0, init_std=0.3), rng),
    "llama": lambda rng: Llama(LlamaConfig(31, 20, 2, 4, 2, d_model=16, d_ff=32, init_std=0.3), rng),
    "untied": lambda rng: Llama(LlamaConfig(31, 20, 2, 4, 2, 16, 32, tie_weights=False, init_std=0.3), rng),
}


@pytest.fixture(params=MODELS)
def model(request):
    model = MODELS[request.param](np.random.default_rng(0))
    for parameter in model.parameters():
        parameter.data = parameter.data.astype(np.float64)
    return model


def packed_row(rng):
    texts = [rng.integers(0, 31, n) for n in LENGTHS]
    targets = [rng.integers(0, 31, n) for n in LENGTHS]
    targets[2][:4] = -100  # a question, which is not learned
    n_padding = 20 - sum(LENGTHS)
    ids = np.concatenate([*texts, np.zeros(n_padding, int)])[None]
    documents = np.repeat(np.arange(len(LENGTHS) + 1), [*LENGTHS, n_padding])[None]
    return texts, targets, ids, np.concatenate([*targets, np.full(n_padding, -100)])[None], documents


def gradients(model):
    found = {name: parameter.grad.numpy().copy() for name, parameter in model.named_parameters()}
    model.zero_grad()
    return found


@pytest.mark.parametrize("checkpointed", [False, True])
def test_loss_and_gradients_of_a_packed_row_are_those_of_its_texts(model, checkpointed):
    model.checkpoint_activations = checkpointed
    texts, targets, ids, all_targets, documents = packed_row(np.random.default_rng(1))
    rows, row_targets, row_documents = (np.concatenate([x, x[:, ::-1]]) for x in (ids, all_targets, documents))
    loss = model.loss(ids, all_targets, documents)
    loss.backward()
    together = gradients(model)
    both = model.loss(rows, row_targets, row_documents)  # a second row, whose texts begin elsewhere
    assert np.isfinite(both.item())

    n_targets, total = (all_targets != -100).sum(), 0.0
    for text, target in zip(texts, targets, strict=True):
        share = model.loss(text[None], target[None]) * ((target != -100).sum() / n_targets)
        share.backward()
        total += share.item()
    assert loss.item() == pytest.approx(total, abs=1e-9)
    for name, gradient in gradients(model).items():
        np.testing.assert_allclose(together[name], gradient, atol=1e-6, err_msg=name)


def test_without_the_documents_the_texts_do_see_each_other(model):
    _, _, ids, targets, documents = packed_row(np.random.default_rng(1))
    assert abs(model.loss(ids, targets).item() - model.loss(ids, targets, documents).item()) > 1e-3


def test_one_document_is_the_plain_row(model):
    ids = np.random.default_rng(2).integers(0, 31, (3, 20))
    plain, packed_rows = model.hidden(ids), model.hidden(ids, documents=np.zeros((3, 20), int))
    np.testing.assert_allclose(plain.data, packed_rows.data, atol=1e-6)


def test_numbers_of_documents_may_come_again():
    positions, mask = packed("GPT", np.zeros((1, 5)), np.array([[7, 7, 1, 7, 7]]))
    assert positions.tolist() == [[0, 1, 0, 0, 1]]
    assert mask.shape == (1, 1, 5, 5)
    assert np.isinf(mask[0, 0, 3:, :2]).all()
    with pytest.raises(ValueError, match="documents must number the tokens"):
        packed("GPT", np.zeros((2, 5)), np.zeros((1, 5)))


def test_new_tokens_start_as_the_mean_and_change_nothing_else(model):
    ids = np.random.default_rng(3).integers(0, 31, (2, 6))
    before, table = model(ids).data, model.token_embedding.weight.data.copy()
    resize_token_embeddings(model, 33)
    assert model.config.vocab_size == 33
    np.testing.assert_allclose(model.token_embedding.weight.data[31:], np.tile(table.mean(axis=0), (2, 1)), atol=1e-12)
    scores = model(ids).data  # (2, 6, 33)
    np.testing.assert_allclose(scores[:, :, :31], before, atol=1e-12)
    np.testing.assert_allclose(scores[:, :, 31], before.mean(axis=2), atol=1e-9)
    model.loss(np.array([[31, 32]]), np.array([[32, 31]])).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    with pytest.raises(ValueError, match="rows can be added only"):
        resize_token_embeddings(model, 32)


@given(lengths=st.lists(st.integers(1, 30), max_size=60))
def test_each_item_goes_into_one_row_that_has_room(lengths):
    rows = pack(lengths, 30)
    assert sorted(item for row in rows for item in row) == list(range(len(lengths)))
    filled = [sum(lengths[item] for item in row) for row in rows]
    assert all(0 < length <= 30 for length in filled)
    assert sum(length <= 15 for length in filled) <= 1  # two such rows would have been one


def test_an_item_longer_than_a_row():
    with pytest.raises(ValueError, match="item 1 has 5 tokens, more than the 4 of a row"):
        pack([1, 5], 4)


def chats(n, rng):
    return [
        EncodedChat(rng.integers(1, 31, m).tolist(), rng.integers(0, 2, m).tolist()) for m in rng.integers(2, 20, n)
    ]


def test_a_batch_holds_each_conversation_and_learns_only_what_counts():
    some = chats(3, np.random.default_rng(0))
    batch = packed_batch([some[:2], some[2:]], 40)
    assert batch.ids.shape == batch.targets.shape == batch.documents.shape == (2, 40)
    for row, number, chat in ((0, 0, some[0]), (0, 1, some[1]), (1, 0, some[2])):
        places = batch.documents[row] == number
        assert batch.ids[row, places].tolist() == chat.ids[:-1]
        wanted = [token if counts else -100 for token, counts in zip(chat.ids[1:], chat.loss_mask[1:], strict=True)]
        assert batch.targets[row, places].tolist() == wanted
    assert (batch.targets[batch.documents == PADDING] == -100).all()


def test_a_pass_has_each_conversation_once_and_little_padding():
    rng = np.random.default_rng(0)
    some = chats(300, rng)
    n_batches = -(-len(packed_rows(some, 64)) // 4)
    batches = packed_batches(some, 4, 64, rng)
    one_pass = [next(batches) for _ in range(n_batches)]
    assert sum(int((batch.documents != PADDING).sum()) for batch in one_pass) == sum(len(chat.ids) - 1 for chat in some)
    assert padding_share(one_pass) < 0.02
    assert [batch.ids.tolist() for batch in one_pass] != [next(batches).ids.tolist() for _ in range(n_batches)]
    with pytest.raises(ValueError, match="no conversations to train on"):
        next(packed_batches([], 4, 64, rng))
