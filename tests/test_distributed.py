"""Data parallel training without MPI: hooks, buckets, shares, and ranks that are threads of this process."""

import itertools
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_runs import call
from thread_ranks import on_ranks

import tinygrad_llm as tg
from tinygrad_llm.data.masking import IGNORED
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.nn import Parameter
from tinygrad_llm.optim import SGD, AdamW
from tinygrad_llm.train import language_modelling, train_steps
from tinygrad_llm.train.checkpoint import random_generators
from tinygrad_llm.train.distributed import DataParallel, pack, share_of
from tinygrad_llm.train.distributed_ranks import launched, threads_per_rank

# Hooks


def completed_in(loss, *leaves):
    """Backward, and for each call of a hook which leaf it was for and its gradient at that moment."""
    seen = []
    handles = [
        leaf.register_post_accumulate_grad_hook(lambda leaf: seen.append((leaf, leaf.grad.numpy().copy())))
        for leaf in leaves
    ]
    loss().backward()
    for handle in handles:
        handle.remove()
    loss().backward()
    assert len(seen) == len(leaves), "once in a pass, and not after remove()"
    return [next(i for i, leaf in enumerate(leaves) if leaf is each) for each, _ in seen], [grad for _, grad in seen]


def test_a_hook_is_called_once_when_the_gradient_is_complete():
    a, b = (tg.tensor([value], requires_grad=True) for value in (2.0, 3.0))
    order, grads = completed_in(lambda: (a * 3 * a * b).sum(), a, b)
    assert order == [1, 0], "backward comes to the first product last"
    np.testing.assert_allclose(grads, [[12.0], [36.0]])


def test_a_hook_of_a_leaf_that_one_op_uses_twice():
    a = tg.tensor([3.0], requires_grad=True)
    order, grads = completed_in(lambda: (a * a).sum(), a)
    assert order == [0]
    assert grads[0] == 6


def test_hooks_wait_for_the_last_use_also_under_activation_checkpointing():
    weight, x = tg.tensor([[0.5]], requires_grad=True), tg.tensor([[2.0]], requires_grad=True)

    def loss():
        inner = tg.checkpoint(lambda h: tg.tanh(h @ weight) @ weight, x)
        return tg.checkpoint(lambda h: h @ weight, inner).sum()

    loss().backward()
    expected = weight.grad.numpy().copy()
    weight.grad = None
    _, grads = completed_in(loss, weight)
    np.testing.assert_array_equal(grads[0], expected)


def test_a_hook_sees_what_earlier_passes_have_added_too():
    a = tg.tensor([1.0], requires_grad=True)
    (a * 2).sum().backward()
    _, grads = completed_in(lambda: (a * 3).sum(), a)
    assert grads[0] == 5


def test_backward_of_a_leaf_itself_calls_its_hook():
    a = tg.tensor(1.0, requires_grad=True)
    assert completed_in(lambda: a, a)[0] == [0]


def test_only_leaves_that_need_gradients_have_hooks():
    a = tg.tensor([1.0], requires_grad=True)
    for tensor in (a * 2, tg.tensor([1.0])):
        with pytest.raises(RuntimeError, match="needs a leaf tensor with requires_grad=True"):
            tensor.register_post_accumulate_grad_hook(print)


# Buckets and shares


def test_buckets_keep_the_order_and_the_limit():
    parameters = [Parameter(np.zeros(n, np.float32)) for n in (2, 2, 9, 1, 1)]
    buckets = pack(parameters, bucket_bytes=16)
    assert [[p.data.size for p in bucket.parameters] for bucket in buckets] == [[2, 2], [9], [1, 1]]
    assert len(pack(parameters, 1)) == 5, "smaller than each: one for each"
    assert len(pack(parameters, 1 << 20)) == 1, "larger than all together"


def test_a_bucket_has_one_dtype():
    parameters = [Parameter(np.zeros(2, dtype)) for dtype in (np.float32, np.float64, np.float32)]
    assert [bucket.buffer.dtype.name for bucket in pack(parameters, 100)] == ["float32", "float64", "float32"]


@pytest.mark.parametrize(("n_rows", "size"), [(8, 2), (7, 3), (2, 4), (5, 1)])
def test_shares_are_disjoint_and_add_up(n_rows, size):
    rng = np.random.default_rng(n_rows)
    x = np.arange(n_rows * 3).reshape(n_rows, 3)
    y = np.where(rng.random((n_rows, 3)) < 0.4, IGNORED, x)
    shares = [share_of((x, y), rank, size) for rank in range(size)]
    counted = [own for (own, _), part in shares if part > 0]
    assert sum(part for _, part in shares) == pytest.approx(1)
    assert all(len(own) > 0 and (targets != IGNORED).any() for (own, targets), _ in shares), "none computes a NaN"
    rows = np.concatenate(counted)
    assert len(np.unique(rows[:, 0])) == len(rows)
    assert set(x[(y != IGNORED).any(axis=1), 0]) <= set(rows[:, 0])


# Ranks that are threads


def tiny_gpt(dropout=0.0, seed=0):
    config = GPTConfig(vocab_size=11, max_seq_len=6, n_layers=2, n_heads=2, d_model=8, dropout=dropout)
    return GPT(config, np.random.default_rng(seed)).to("float64")


def random_batches(batch_size=4, seed=0):
    rng = np.random.default_rng(seed)
    while True:
        tokens = rng.integers(0, 11, (batch_size, 7))
        yield tokens[:, :-1], tokens[:, 1:]


def trained(model, optimizer=SGD, ranks=None, n_steps=3, accumulate=1, **settings):
    """Losses, norms, and at the end gradients and weights."""
    parallel = None if ranks is None else DataParallel(model, ranks, **settings)
    steps = train_steps(
        model,
        random_batches(),
        language_modelling,
        optimizer(model.parameters(), 0.1),
        lambda step: 1.0,
        n_steps=n_steps,
        accumulate=accumulate,
        gradients=parallel and parallel.gradients,
    )
    numbers = [(info.loss, info.grad_norm, info.tokens) for info in steps]
    return numbers, [p.grad.numpy() for p in model.parameters()], [p.data for p in model.parameters()], parallel


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("bucket_bytes", [1, 700, 1 << 20])
@pytest.mark.parametrize("size", [2, 3])
def test_ranks_train_as_one_process_does(size, bucket_bytes, accumulate):
    expected = trained(tiny_gpt(), accumulate=accumulate)
    # the others begin with other weights, which are replaced by those of rank 0
    results, _ = on_ranks(
        size,
        lambda ranks: trained(tiny_gpt(seed=ranks.rank), SGD, ranks, accumulate=accumulate, bucket_bytes=bucket_bytes),
    )
    for result in results:
        np.testing.assert_allclose(result[0], expected[0], rtol=1e-9)
        for got, wanted in itertools.chain(*(zip(result[i], expected[i], strict=True) for i in (1, 2))):
            np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-12)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0][2], other[2], strict=True)), "bit for bit"


def test_sums_begin_while_the_backward_pass_goes_on():
    def run(ranks):
        model = tiny_gpt()
        if ranks.is_first:
            for name, p in model.named_parameters():
                p.register_post_accumulate_grad_hook(lambda _, name=name: ranks.exchange.log.append(("hook", name)))
        return trained(model, SGD, ranks, n_steps=2, bucket_bytes=700)

    results, exchange = on_ranks(2, run)
    last_step = exchange.log[len(exchange.log) // 2 :]
    kinds = [kind for kind, _ in last_step]
    n_early = kinds[: len(kinds) - kinds[::-1].index("hook")].count("sum")
    assert kinds.count("sum") >= 6
    assert n_early >= kinds.count("sum") - 1, "all but the last bucket are on their way before the last gradient"
    order = [id(p) for bucket in results[0][3]._buckets for p in bucket.parameters]
    assert order == [id(p) for p in results[0][3]._order], "packed in the order of the pass"


def test_a_parameter_that_the_loss_does_not_use_stays_without_gradient():
    def run(ranks):
        model = tiny_gpt()
        model.unused = Parameter(np.ones(3))
        parallel = DataParallel(model, ranks)
        for step in range(2):
            model.zero_grad()
            parallel.gradients(model, random_batches(), language_modelling, 1, step)
        return model.unused.grad

    assert on_ranks(2, run)[0] == [None, None]


def test_each_rank_draws_its_own_dropout_and_a_resumed_one_the_same():
    def drawn(ranks):
        model = tiny_gpt(dropout=0.5)
        parallel, numbers = DataParallel(model, ranks, seed=3), []
        for step in (0, 1, 1):
            parallel._seed_generators(model, step)
            numbers.append([generator.random() for generator in random_generators(model)])
        return numbers

    (first, second), _ = on_ranks(2, drawn)
    assert second[0] != second[1] == second[2]
    assert all(a != b for a, b in zip(first, second, strict=True))
    losses = on_ranks(2, lambda ranks: trained(tiny_gpt(dropout=0.5), AdamW, ranks)[0])[0]
    assert losses[0] == losses[1]


def test_one_rank_that_wants_to_stop_stops_all_after_the_same_step():
    def run(ranks):
        model, asked = tiny_gpt(), iter([False, ranks.rank == 1, False])
        parallel = DataParallel(model, ranks, wants_to_stop=lambda: next(asked))
        stopping = []
        for step in range(3):
            parallel.gradients(model, random_batches(), language_modelling, 1, step)
            stopping.append(parallel.stopping)
        return stopping

    assert on_ranks(2, run)[0] == [[False, True, True]] * 2


def test_a_loss_that_is_not_finite_at_one_rank_stops_all():
    def run(ranks):
        def loss_fn(model, batch):
            return language_modelling(model, batch) * (np.nan if ranks.rank == 1 else 1.0)

        parallel = DataParallel(model := tiny_gpt(), ranks)
        with pytest.raises(FloatingPointError, match="loss became nan in step 5"):
            parallel.gradients(model, random_batches(), loss_fn, 1, 4)
        return True

    assert on_ranks(2, run)[0] == [True, True]


def test_closing_takes_the_hooks_off():
    def run(ranks):
        model = tiny_gpt()
        DataParallel(model, ranks).close()
        return any(p.hooks for p in model.parameters())

    assert on_ranks(1, run)[0] == [False]


def test_mpiexec_is_noticed_by_what_it_puts_into_the_environment(monkeypatch):
    for name in ("PMI_RANK", "PMI_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS"):
        monkeypatch.delenv(name, raising=False)
    assert launched() == (0, 1)
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "1")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    assert launched() == (1, 4)
    monkeypatch.setenv("MPI_LOCALNRANKS", "100000")
    assert threads_per_rank() == 1


def test_several_ranks_need_mpi4py_and_one_process_does_not(monkeypatch, tmp_path):
    assert "mpi4py.MPI" not in sys.modules
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.setenv("NUMBA_NUM_THREADS", os.environ.get("NUMBA_NUM_THREADS", "1"))
    monkeypatch.setenv("PMI_SIZE", "2")
    code, _, err = call("pretrain", "--preset", "debug", "--out", tmp_path / "run")
    assert code == 2
    assert err == (
        'tinygrad-llm pretrain: several ranks need mpi4py and an MPI: pip install "tinygrad_llm[mpi]", or leave out '
        "mpiexec\n"
    )
    assert not (tmp_path / "run").exists()


def test_the_page_about_many_machines_is_what_the_figures_give(monkeypatch):
    folder = Path(__file__).parent.parent / "benchmarks"
    monkeypatch.syspath_prepend(folder)
    import many_machines

    found = json.loads((folder / "results" / "distributed.json").read_text(encoding="utf-8"))
    assert (folder / "many_machines.md").read_text(encoding="utf-8") == many_machines.page(found)
    model, network = many_machines.models(found)[0], many_machines.Network("", bandwidth=1e6, latency=0.5)
    transfer, messages = many_machines.ring(model, 4, network, buckets=3)
    assert transfer == pytest.approx(1.5 * 4 * model.parameters / 1e6)
    assert messages == 3 * 6 * 0.5
    assert many_machines.waiting(model, 4, network, 2, 100, overlap=False) == transfer + 3
