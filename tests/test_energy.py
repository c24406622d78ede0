"""Energy: RAPL's counters from a made-up tree, the estimate, floating-point operations, and both in a run."""

import json
import math
import subprocess
import sys
import time

import numpy as np
import pytest
from cli_runs import call, pretrain, write_text

from tinygrad_llm.cli.progress import Progress
from tinygrad_llm.models import BERT, GPT, BERTConfig, GPTConfig, Llama, LlamaConfig
from tinygrad_llm.nn import add_lora
from tinygrad_llm.train import PretrainConfig, StepInfo, load_checkpoint
from tinygrad_llm.train.energy import Energy, EnergyMeter, Usage, flops_per_token, training_cost, with_prefix
from tinygrad_llm.train.finetune import FineTuneConfig

RANGE = 1_000_000_000  # µJ


class Counters:
    """A folder as Linux has it: two packages, a part of the first, and the whole platform."""

    def __init__(self, root):
        self.root = root
        names = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:1": "package-1"}
        for folder, name in (names | {"intel-rapl:2": "psys", "intel-rapl-mmio:0": "package-0"}).items():
            (root / folder).mkdir(parents=True)
            (root / folder / "name").write_text(f"{name}\n")
            (root / folder / "max_energy_range_uj").write_text(f"{RANGE}\n")
            self.set(folder, 5_000_000)

    def set(self, folder, microjoules):
        (self.root / folder / "energy_uj").write_text(f"{microjoules}\n")


@pytest.fixture
def counters(tmp_path):
    return Counters(tmp_path / "powercap")


def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_rapl_counts_whole_packages_only(counters):
    meter = EnergyMeter(counters.root)
    for folder, more in {"intel-rapl:0": 3, "intel-rapl:1": 4, "intel-rapl:0:0": 2, "intel-rapl:2": 9}.items():
        counters.set(folder, 5_000_000 + more * 1_000_000)
    counters.set("intel-rapl-mmio:0", 900_000_000)
    spin(0.05)
    assert meter.read() == Usage(rapl_joules=7.0, cpu_seconds=0.0), "what RAPL measures is not estimated as well"
    assert meter.read() == Usage(rapl_joules=7.0), "reading again adds nothing"


def test_a_counter_that_starts_again(counters):
    counters.set("intel-rapl:0", RANGE - 2_000_000)
    meter = EnergyMeter(counters.root)
    counters.set("intel-rapl:0", 3_000_000)
    assert meter.read().rapl_joules == pytest.approx(5.0)
    for joules in (400, 900, 300, 800):  # 300 after 900: 400 J more than the range of 1,000 J would show
        counters.set("intel-rapl:0", joules * 1_000_000)
        total = meter.read().rapl_joules
    assert total == pytest.approx(5.0 + 397 + 500 + 400 + 500)


@pytest.mark.parametrize("damage", ["missing", "forbidden", "no number", "no range", "no packages"])
def test_what_cannot_be_read_is_estimated(counters, damage):
    place = counters.root / "intel-rapl:1" / "energy_uj"
    if damage in ("missing", "forbidden"):
        place.unlink()
    if damage == "forbidden":
        place.mkdir()  # the test may run as root, who may read all files; reading a folder fails for all
    if damage == "no number":
        place.write_text("much")
    if damage == "no range":
        (counters.root / "intel-rapl:0" / "max_energy_range_uj").unlink()
    root = counters.root / "elsewhere" if damage == "no packages" else counters.root
    meter = EnergyMeter(root)
    counters.set("intel-rapl:0", 90_000_000)
    spin(0.05)
    usage = meter.read()
    assert usage.rapl_joules == 0, "one package of two is not the machine"
    assert 0.05 <= usage.cpu_seconds < 10
    assert usage.energy().method == "estimate"


def test_a_counter_that_goes_away_while_training(counters):
    meter = EnergyMeter(counters.root)
    counters.set("intel-rapl:0", 7_000_000)
    spin(0.2)
    assert meter.read() == Usage(2.0, 0.0)
    (counters.root / "intel-rapl:1" / "energy_uj").unlink()
    spin(0.02)
    usage = meter.read()
    assert usage.rapl_joules == 2.0
    assert 0.02 <= usage.cpu_seconds < 0.2, "only the time that RAPL has not counted"
    assert usage.energy().method == "RAPL and estimate"


def test_processor_time_of_children_counts_when_they_have_ended():
    meter = EnergyMeter(None)
    code = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert 0.25 <= meter.read().cpu_seconds < 5
    meter = EnergyMeter(None)
    time.sleep(0.2)
    assert meter.read().cpu_seconds < 0.15, "waiting costs nothing"


def test_from_usage_to_joules_and_grams():
    energy = (Usage(1.8e6, 100.0) + Usage(0.0, 60.0)).energy(core_watts=11.25, co2_per_kwh=100.0)
    assert energy.joules == pytest.approx(1.8e6 + 160 * 11.25)
    assert energy.kilowatt_hours == pytest.approx(0.5005)
    assert energy.grams_co2 == pytest.approx(50.05)
    assert "1.8 MJ by RAPL, of the whole processor and all programs on it" in energy.assumption
    assert "160.0 s of processor time × 11.25 W for a busy core" in energy.assumption
    assert energy.assumption.endswith("100 g of CO₂ per kWh"), "no source is named for a figure of the user's"
    assert str(energy) == "500 Wh (1.8 MJ), 50 g CO₂, measured and estimated"
    default = Usage(cpu_seconds=36.0).energy()
    assert (default.joules, default.grams_co2) == (360.0, pytest.approx(0.048))
    assert default.assumption.endswith("480 g of CO₂ per kWh, the world's mean in 2023 (Ember 2024)")
    assert "RAPL" not in default.assumption
    assert Usage().energy().method == "estimate"
    assert Usage(rapl_joules=1.0).energy().method == "RAPL"


def test_numbers_are_written_in_three_digits():
    wanted = {999.4: "999 J", 999.6: "1 kJ", 0.0123: "12.3 mJ", 1e-7: "0.0001 mJ", 0: "0 J", 2.5e18: "2.5 EJ"}
    assert {value: with_prefix(value, "J") for value in wanted} == wanted
    assert with_prefix(math.nan, "FLOP") == "nan FLOP"


def test_operations_of_a_gpt_by_hand():
    V, T, L, C = 50, 16, 3, 8
    model = GPT(GPTConfig(V, T, L, 2, C, bias=False))
    products = 6 * (L * 12 * C * C + V * C)
    assert flops_per_token(model) == products
    assert flops_per_token(model, T) == products + 6 * L * T * C
    assert flops_per_token(model, scored=0.0) == 6 * L * 12 * C * C
    before = flops_per_token(model)
    add_lora(model, 2, rng=np.random.default_rng(0))
    low_rank = sum(p.data.size for name, p in model.named_parameters() if ".lora_" in name)
    assert flops_per_token(model) == before * 4 / 6 + 6 * low_rank, "frozen weights need no gradient of their own"


def test_operations_of_other_models():
    sizes = {
        "vocab_size": 40,
        "max_seq_len": 16,
        "n_layers": 2,
        "n_heads": 2,
        "n_kv_heads": 2,
        "d_model": 8,
        "d_ff": 24,
    }
    tied, untied = (Llama(LlamaConfig(**sizes, tie_weights=tie)) for tie in (True, False))
    assert flops_per_token(tied, 16) == flops_per_token(untied, 16) == 6 * 2 * (4 * 64 + 3 * 8 * 24 + 16 * 8 + 160)
    bert = BERT(BERTConfig(40, 16, 2, 2, 2, 8, 16))
    without = flops_per_token(bert, scored=0.0)
    assert flops_per_token(bert, scored=0.5) - without == 0.5 * 6 * bert.token_embedding.weight.data.size
    assert flops_per_token(bert, 16, 0.0) - without == 12 * 2 * 16 * bert.config.d_model


def test_cost_of_training():
    config = PretrainConfig(core_watts=20.0, co2_per_kwh=0.0)
    cost = training_cost(Usage(cpu_seconds=3.0), config, 1000, 50.0, 7.0)
    assert Energy(**cost["energy"]).joules == 60.0
    assert cost["energy"]["grams_co2"] == 0
    assert (cost["training_flops"], cost["flops_per_second"]) == (7000.0, 350.0)


@pytest.mark.parametrize("kind", [PretrainConfig, FineTuneConfig])
@pytest.mark.parametrize("changes", [{"core_watts": -1.0}, {"co2_per_kwh": math.nan}, {"co2_per_kwh": math.inf}])
def test_impossible_figures(kind, changes):
    with pytest.raises(ValueError, match=f"{next(iter(changes))} must be a number of at least 0"):
        kind(**changes)


def test_progress_adds_up_over_sessions(counters):
    first = Progress(meter=EnergyMeter(counters.root))
    counters.set("intel-rapl:0", 6_000_000)
    first.add(StepInfo(1, 2.0, 0.1, 1.0, 32, 0.5), is_first=True)
    state = first.state()
    assert (state["rapl_joules"], state["cpu_seconds"]) == (1.0, 0.0)
    json.dumps(state)
    counters.set("intel-rapl:0", 9_000_000)  # between the sessions others use it
    second = Progress(**state, meter=EnergyMeter(counters.root))
    counters.set("intel-rapl:1", 7_000_000)
    assert second.usage.rapl_joules == 3.0
    assert second.state()["rapl_joules"] == second.state()["rapl_joules"] == 3.0
    old = {"seconds": 4.0, "tokens": 8, "timed_tokens": 0, "timed_seconds": 0.0, "best_loss": None, "best_step": 0}
    assert Progress(**old, losses=[], meter=EnergyMeter(counters.root)).usage == Usage(), "a checkpoint of before"


def test_a_run_and_its_resumption_say_what_they_used(tmp_path):
    folder, text = tmp_path / "run", write_text(tmp_path / "text.txt")
    shown = pretrain(folder, text, "--core-watts", "20")
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    energy, seconds = summary["energy"], load_checkpoint(folder / "last.safetensors").progress["cpu_seconds"]
    assert energy["method"] == "estimate" or energy["method"] == "RAPL"
    assert f"energy: {energy['assumption']}" in shown
    assert f"│ energy                         │ {Energy(**energy)}" in shown
    assert summary["training_flops"] > 6 * summary["parameters"] * summary["tokens"] / 2
    assert with_prefix(summary["training_flops"], "FLOP") in shown

    code, _, error = call("pretrain", "--resume", folder, "--steps", "8", "--core-watts", "40", "--co2-per-kwh", "50")
    assert code == 0, error
    again = json.loads((folder / "summary.json").read_text("utf-8"))["energy"]
    more = load_checkpoint(folder / "last.safetensors").progress["cpu_seconds"]
    if energy["method"] == "estimate":
        assert more > seconds > 0
        assert energy["joules"] >= 20 * seconds, "the summary is measured after the checkpoint"
        assert again["joules"] >= 40 * more, "the whole run by the figure that is better now"
    assert again["grams_co2"] == pytest.approx(again["kilowatt_hours"] * 50)
