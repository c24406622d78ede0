"""Checkpoints: resume equals uninterrupted, and no failure costs the last good one."""

import errno
import json
import os
from functools import partial
from itertools import islice

import numpy as np
import pytest
from cli_runs import file_size_limit
from safetensors import safe_open
from safetensors.numpy import save_file

from tinygrad_llm.data import RandomBatches
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.nn import Linear, Module
from tinygrad_llm.optim import SGD, AdamW, Muon, cosine
from tinygrad_llm.train import language_modelling, load_checkpoint, save_checkpoint, train_steps

TOKENS = np.random.default_rng(3).integers(0, 11, 500)


def session(d_model=16, dropout=0.1, seed=0):
    config = GPTConfig(vocab_size=11, max_seq_len=8, n_layers=2, n_heads=2, d_model=d_model, dropout=dropout)
    model = GPT(config, np.random.default_rng(seed))
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return model, AdamW(groups, lr=0.01), RandomBatches(TOKENS, batch_size=3, seq_len=8, seed=seed)


def steps_of(model, optimizer, batches, start_step=0, accumulate=2):
    schedule = partial(cosine, n_steps=8, warmup_steps=2)
    return train_steps(
        model,
        batches,
        language_modelling,
        optimizer,
        schedule,
        n_steps=8,
        start_step=start_step,
        accumulate=accumulate,
        clip=0.5,
    )


def everything(model, optimizer):
    arrays = {name: parameter.data for name, parameter in model.named_parameters()}
    return arrays | {f"optimizer.{name}": array for name, array in optimizer.state_dict()["arrays"].items()}


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


@pytest.fixture
def saved(tmp_path):
    """A session after two steps and the path of its checkpoint."""
    model, optimizer, batches = session()
    list(islice(steps_of(model, optimizer, batches), 2))
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, model, 2, optimizer, batches, {"seconds": 1.5})
    return path, model, optimizer, batches


def test_resume_equals_uninterrupted_bit_for_bit(tmp_path):
    """With dropout and accumulation, from a new process's point of view: all objects are built anew."""
    model, optimizer, batches = session()
    uninterrupted = [info.loss for info in steps_of(model, optimizer, batches)]

    first = session()
    losses = [info.loss for info in islice(steps_of(*first), 5)]
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, first[0], 5, first[1], first[2])
    second = session(seed=99)
    checkpoint = load_checkpoint(path)
    checkpoint.restore(*second)
    assert checkpoint.step == 5
    losses += [info.loss for info in steps_of(*second, start_step=5)]

    assert losses == uninterrupted
    assert_same(everything(*second[:2]), everything(model, optimizer))


@pytest.mark.parametrize("optimizer_class", [partial(SGD, lr=0.1, momentum=0.9), partial(Muon, lr=0.01)])
def test_resume_with_other_optimizers(tmp_path, optimizer_class):
    def objects():
        model, _, batches = session(dropout=0.0)
        return model, optimizer_class([p for p in model.parameters() if p.ndim == 2]), batches

    whole = objects()
    list(steps_of(*whole, accumulate=1))
    first = objects()
    list(islice(steps_of(*first, accumulate=1), 3))
    save_checkpoint(tmp_path / "c", first[0], 3, first[1], first[2])
    second = objects()
    load_checkpoint(tmp_path / "c").restore(*second)
    list(steps_of(*second, start_step=3, accumulate=1))
    assert_same(everything(*second[:2]), everything(*whole[:2]))


def test_the_file_is_ordinary_safetensors_with_each_weight_once(saved):
    path, model, *_ = saved
    with safe_open(path, framework="numpy") as file:
        names = set(file.keys())
        facts = json.loads(file.metadata()["tinygrad_llm"])
        embedding = file.get_tensor("model.token_embedding.weight")
    np.testing.assert_array_equal(embedding, model.token_embedding.weight.data)
    n_parameters = len(list(model.named_parameters()))
    assert sum(name.startswith("model.") for name in names) == n_parameters
    assert sum(name.startswith("optimizer.") for name in names) == 2 * n_parameters
    assert facts["step"] == 2
    assert facts["model_config"]["d_model"] == 16
    assert facts["progress"] == {"seconds": 1.5}
    assert os.listdir(path.parent) == ["last.safetensors"]


def test_tied_weights_are_saved_once_and_stay_tied(tmp_path):
    class Tied(Module):
        def __init__(self, seed):
            self.encoder = Linear(3, 3, bias=False, rng=np.random.default_rng(seed))
            self.decoder = Linear(3, 3, bias=False, rng=np.random.default_rng(seed))
            self.decoder.weight = self.encoder.weight

    model, other = Tied(0), Tied(1)
    save_checkpoint(tmp_path / "c", model, 0)
    checkpoint = load_checkpoint(tmp_path / "c")
    assert list(checkpoint.weights) == ["encoder.weight"]
    checkpoint.restore(other)
    assert other.decoder.weight is other.encoder.weight
    np.testing.assert_array_equal(other.decoder.weight.data, model.encoder.weight.data)


def test_weights_alone_can_generate_but_not_resume(tmp_path, saved):
    _, model, *_ = saved
    save_checkpoint(tmp_path / "best", model, 2)
    checkpoint = load_checkpoint(tmp_path / "best")
    other = session(seed=5)
    checkpoint.restore(other[0])
    assert_same(*({n: p.data for n, p in m.named_parameters()} for m in (other[0], model)))
    with pytest.raises(ValueError, match="holds no training state"):
        checkpoint.restore(*other)


@pytest.mark.parametrize("keep", [0, 4, 8, 200, 0.5, -1])
def test_a_truncated_file_is_named(saved, keep):
    path = saved[0]
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match=r"last.safetensors' is no complete safetensors file, it is truncated"):
        load_checkpoint(path)


@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.9999])
def test_a_flipped_bit_is_found_wherever_it_is(saved, place):
    path = saved[0]
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged"):
        load_checkpoint(path)


def test_foreign_files_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        load_checkpoint(tmp_path / "nothing")
    (tmp_path / "text").write_text("Call me Ishmael. " * 100)
    with pytest.raises(ValueError, match="is no complete safetensors file"):
        load_checkpoint(tmp_path / "text")
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "foreign")
    with pytest.raises(ValueError, match="is a safetensors file, but no checkpoint of tinygrad_llm"):
        load_checkpoint(tmp_path / "foreign")


def test_a_newer_format_is_refused(saved, monkeypatch):
    monkeypatch.setattr("tinygrad_llm.train.checkpoint.FORMAT_VERSION", 2)
    with pytest.raises(ValueError, match="has checkpoint format 1, this program reads 2"):
        load_checkpoint(saved[0])


def test_another_architecture_is_refused_before_anything_changes(saved):
    model, optimizer, batches = session(d_model=32)
    before = {name: array.copy() for name, array in everything(model, optimizer).items()}
    with pytest.raises(ValueError, match="another architecture: it has d_model 16 where the model has 32"):
        load_checkpoint(saved[0]).restore(model, optimizer, batches)
    assert_same(before, everything(model, optimizer))
    with pytest.raises(ValueError, match="holds a GPT, which is another model than a Linear"):
        load_checkpoint(saved[0]).restore(Linear(2, 2))


def test_another_corpus_is_refused(saved):
    model, optimizer, _ = session()
    batches = RandomBatches(TOKENS[:400], batch_size=3, seq_len=8)
    with pytest.raises(ValueError, match="n_tokens=400, but the saved position was taken with n_tokens=500"):
        load_checkpoint(saved[0]).restore(model, optimizer, batches)


@pytest.mark.parametrize("when", ["open", "fsync", "rename"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_failing_disk_keeps_the_last_good_checkpoint(saved, monkeypatch, when, number):
    path, model, optimizer, batches = saved
    good = path.read_bytes()
    next(steps_of(model, optimizer, batches, start_step=2))

    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(
        {"open": "pathlib.Path.open", "fsync": "os.fsync", "rename": "pathlib.Path.replace"}[when], fail
    )
    with pytest.raises(OSError, match=rf"cannot write the checkpoint .*{os.strerror(number)}.*untouched"):
        save_checkpoint(path, model, 3, optimizer, batches)
    monkeypatch.undo()
    assert path.read_bytes() == good
    assert os.listdir(path.parent) == ["last.safetensors"]
    assert load_checkpoint(path).step == 2


def test_a_file_that_cannot_grow_any_more_keeps_the_last_good_checkpoint(saved):
    """The operating system itself ends the write in the middle of the file, as on a full disk."""
    path, model, optimizer, batches = saved
    good = path.read_bytes()
    next(steps_of(model, optimizer, batches, start_step=2))
    with (
        file_size_limit(len(good) // 2),
        pytest.raises(OSError, match=r"cannot write the checkpoint .* untouched"),
    ):
        save_checkpoint(path, model, 3, optimizer, batches)
    assert path.read_bytes() == good
    assert os.listdir(path.parent) == ["last.safetensors"]
