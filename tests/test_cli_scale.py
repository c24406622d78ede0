"""`tinygrad-llm scale` on a tiny text: real runs, whose number and length are planned by a made-up speed."""

import contextlib
import json
import shlex
import shutil
import signal
import time

import numpy as np
import pytest
from cli_runs import call, write_text

from tinygrad_llm.cli import scale as command
from tinygrad_llm.cli.parser import config_fields, parse
from tinygrad_llm.cli.scale_report import pretrain_command
from tinygrad_llm.plots.scaling import scaling_plot
from tinygrad_llm.train import preset, scaling_plan
from tinygrad_llm.train.scaling_law import best_scaling_law
from tinygrad_llm.train.scaling_plan import SCALING, Speed, sized
from tinygrad_llm.train.scaling_runs import load_runs, make_run, processor_seconds

TINY = [
    "--vocab-size",
    "260",
    "--max-seq-len",
    "8",
    "--batch-size",
    "2",
    "--minutes",
    "0.11",
    "--target-minutes",
    "0.1",
]


def seconds_per_token(size):
    return 1.4e-3 * size.n_heads / 3


def made_up_speed(runs):
    sizes = sorted({(run.n_parameters, seconds_per_token(run)) for run in runs})
    return Speed(*zip(*sizes, strict=True))


@contextlib.contextmanager
def short_runs():
    """Of 6 steps and more; a size of three heads takes three times as long as one of one, whatever the machine does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scaling_plan, "MIN_STEPS", 6)
        patch.setattr(command, "measure_seconds_per_token", lambda size, text, clock: seconds_per_token(size))
        patch.setattr(command, "measured_speed", made_up_speed)
        yield


@pytest.fixture(autouse=True)
def planned():
    with short_runs():
        yield


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return write_text(tmp_path_factory.mktemp("text") / "text.txt", n_lines=60)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, text):
    """A folder, and what was printed."""
    folder = tmp_path_factory.mktemp("finished") / "scale"
    with short_runs():
        code, out, err = scale(folder, text)
    assert code == 0, err
    return folder, out


def scale(folder, text, *options):
    return call("scale", *TINY, "--corpus", text, "--out", folder, *options)


def read(folder):
    return json.loads((folder / "scale.json").read_text())


def fitted(runs):
    columns = [[getattr(run, name) for run in runs] for name in ("n_parameters", "n_tokens", "loss")]
    return best_scaling_law(*columns, rng=np.random.default_rng(0))


def test_a_grid_becomes_a_law_a_check_and_a_command(finished):
    folder, out = finished
    runs, found = load_runs(folder / "scale.jsonl"), read(folder)
    grid = [run for run in runs if not run.is_check]
    assert len({run.n_parameters for run in grid}) >= 3
    assert len(runs) == len(grid) + 1 == len(found["runs"])

    check, run, fit = found["check"], runs[-1], fitted(grid)
    predicted = fit.predict(run.n_parameters, run.n_tokens, beyond=True)
    assert check["predicted"]["value"] == pytest.approx(predicted.value)  # by the grid alone
    assert check["measured"] == run.loss
    assert check["is_inside"] == (predicted.low <= run.loss <= predicted.high)
    assert run.n_parameters * run.n_tokens > max(each.n_parameters * each.n_tokens for each in grid)
    assert f"measured {run.loss:.3f}, {'inside' if check['is_inside'] else 'outside'} the interval" in out

    fit, recommended = fitted(runs), found["recommended"]  # the law that is reported knows the check
    assert found["form"] == fit.form
    for name in fit.names:
        assert found["law"][name]["value"] == pytest.approx(float(getattr(fit.law, name)))
    loss = fit.law.loss(recommended["n_parameters"], recommended["n_tokens"])
    assert recommended["loss"]["value"] == pytest.approx(loss)
    assert recommended["command"] in out
    assert (folder / "scale.png").read_bytes().startswith(b"\x89PNG")


def test_the_recommended_command_makes_the_recommended_run(finished, tmp_path):
    recommended = read(finished[0])["recommended"]
    code, _, err = call(*shlex.split(recommended["command"])[1:], "--out", tmp_path / "run", "--steps", "1")
    assert code == 0, err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["parameters"] == recommended["n_parameters"]


def test_a_command_says_all_settings():
    config = sized(SCALING, 3).override(corpus=("my book.txt",), model="llama", bias=False, steps=7, seed=5)
    arguments = parse(shlex.split(pretrain_command(config))[1:])
    assert preset("laptop").override(**config_fields(arguments)) == config


@pytest.mark.stress
def test_after_ctrl_c_the_finished_runs_are_kept(finished, text, tmp_path, monkeypatch):
    made = []

    def interrupted(*arguments, **more):
        made.append(1)
        if len(made) == 4:
            signal.raise_signal(signal.SIGINT)
        return make_run(*arguments, **more)

    monkeypatch.setattr(command, "make_run", interrupted)
    code, out, _ = scale(tmp_path / "scale", text)
    assert code == 130
    assert f"--resume {tmp_path / 'scale'}" in out
    assert len(load_runs(tmp_path / "scale" / "scale.jsonl")) == 3
    code, _, err = call("scale", "--resume", tmp_path / "scale", "--no-check")
    assert code == 0, err
    whole, resumed = (load_runs(folder / "scale.jsonl") for folder in (finished[0], tmp_path / "scale"))
    assert [(run.steps, run.d_model, run.loss) for run in whole[:-1]] == [
        (run.steps, run.d_model, run.loss) for run in resumed
    ]
    assert len(made) == 1 + len(resumed)


def test_another_target_needs_no_new_run(finished, tmp_path, monkeypatch):
    folder = shutil.copytree(finished[0], tmp_path / "scale")
    monkeypatch.setattr(command, "make_run", None)
    code, out, err = call("scale", "--resume", folder, "--target-minutes", "0.2")
    assert code == 0, err
    assert "best for 0.2 minutes" in out
    assert read(folder)["check"] == read(finished[0])["check"]


def test_a_run_that_is_given_up_stops_at_once(finished):
    study, steps = command.open_study(finished[0]), []
    assert make_run(study.plan.runs[0], study.text, lambda info: steps.append(info) or len(steps) < 3) is None
    assert len(steps) == 3


def test_processor_time_stands_still_while_the_process_sleeps():
    began = processor_seconds()
    time.sleep(0.1)
    assert processor_seconds() - began < 0.05
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    assert processor_seconds() > began


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--minutes", "0.001"], "minutes are too few: 3 sizes with 3 numbers of tokens"),
        (["--max-epochs", "0.001"], "give more text, a smaller --batch-size"),
        (["--minutes", "-1"], "--minutes must be a number above 0, not -1"),
        (["--target-minutes", "nan"], "--target-minutes must be a number above 0, not nan"),
        (["--model", "bert"], "--model must be one of gpt, llama here, not bert"),
        (["--minuets", "1"], "there is no option --minuets (did you mean '--minutes'?)"),
    ],
)
def test_what_cannot_be_planned_is_refused_and_leaves_no_folder(tmp_path, text, options, sentence):
    code, _, err = scale(tmp_path / "scale", text, *options)
    assert code == 2
    assert sentence in err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_not_used_for_something_else(finished, text, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "scale")
    code, _, err = scale(folder, text)
    assert (code, f"--resume {folder}" in err) == (2, True)
    code, _, err = call("scale", "--resume", folder, "--minutes", "3")
    assert (code, "only --target-minutes can" in err) == (2, True)
    code, _, err = call("scale", "--resume", tmp_path)
    assert (code, "plan.json' is missing" in err) == (2, True)
    with (folder / "scale.jsonl").open("a") as file:
        file.write('{"n_layers": 1')
    code, _, err = call("scale", "--resume", folder)
    assert (code, "damaged" in err, "delete the line" in err) == (2, True, True)
    (folder / "plan.json").write_text('{"config": {"steps": 1, "x": 2}}')
    code, _, err = call("scale", "--resume", folder)
    assert (code, "plan.json' is damaged" in err) == (2, True)


def test_a_picture_needs_runs(tmp_path):
    with pytest.raises(ValueError, match="there are no runs to draw"):
        scaling_plot(tmp_path / "scale.png", {}, (np.ones(2), np.ones(2)), {})
