"""What a run notes while it trains, after a kill: the log and the event files of TensorBoard."""

import json

import pytest
from cli_runs import call, pretrain, write_text

from tinygrad_llm.cli import train
from tinygrad_llm.cli.log import Log


def test_a_torn_line_of_the_log_is_mended(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = [{"step": step, "loss": 1 / step} for step in range(1, 6)]
    whole = "".join(json.dumps(line) + "\n" for line in lines).encode()
    for end in [b"", whole[:20], b'{"step": 6, "lo\xc3', b"\0" * 40, b"7\n[1]\n{}\nnull"]:
        path.write_bytes(whole + end)
        with Log(path, 4) as log:
            log.write(step=5, loss=0.5)
            log.sync()
        assert [json.loads(line) for line in path.read_text().splitlines()] == [*lines[:4], {"step": 5, "loss": 0.5}]


def test_event_files_hold_what_the_checkpoint_holds_and_may_be_torn(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    from test_tensorboard import load, scalars

    seen, save, events = [], train.save_checkpoint, tmp_path / "run" / "tensorboard"

    def looked_at(path, model, step, *arguments, **options):
        if path.stem == "last":
            seen.append((step, list(scalars(load(events), "train/loss"))))
        save(path, model, step, *arguments, **options)

    monkeypatch.setattr(train, "save_checkpoint", looked_at)
    pretrain(tmp_path / "run", write_text(tmp_path / "text.txt"), "--tensorboard")
    assert seen == [(3, [2, 3]), (6, [2, 3, 4, 6])], "they are in the files before the checkpoint is"
    file = next(events.iterdir())
    file.write_bytes(file.read_bytes()[:-7])
    code, _, err = call("pretrain", "--resume", tmp_path / "run", "--steps", "9")
    assert code == 0, err
    assert list(scalars(load(events), "train/loss")) == [2, 3, 4, 6, 8, 9]
