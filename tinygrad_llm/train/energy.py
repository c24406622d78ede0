"""What training costs: floating-point operations, joules and CO₂.

    meter = EnergyMeter()
    ...                                                     # training
    print(meter.read().energy())                            # 1.2 Wh (4.37 kJ), 583 mg CO₂, estimated

Processors of Intel and AMD count their joules themselves. Linux shows the counters in /sys/class/powercap (RAPL,
"running average power limit"), as a rule to root alone since they were found to leak secrets (CVE-2020-8694). A counter
is of a whole package: all cores and every program on them, but no memory modules, screen or power supply.

Where it cannot be read, energy is estimated: the processor time of this process, of all its threads, times some watts
for a busy core. A laptop's package of 15 to 28 W has two to four cores to share it, a desktop's of 65 to 125 W six to
sixteen, a server's of 225 W some sixty: 4 to 12 W for each, and the default of 10 W is rather high than low.

CO₂ is energy times the grams that a kWh of electricity costs. The default of 480 g is the mean of the world in 2023
(Ember, "Global Electricity Review 2024"); a country's own figure lies between some 20 and 800.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

from ..models import BERT
from ..nn import Embedding, Module
from .recipes import PretrainConfig

RAPL = Path("/sys/class/powercap")
CORE_WATTS, CO2_PER_KWH = PretrainConfig.core_watts, PretrainConfig.co2_per_kwh
JOULES_PER_KWH = 3.6e6
PREFIXES = {1e18: "E", 1e15: "P", 1e12: "T", 1e9: "G", 1e6: "M", 1e3: "k", 1: "", 1e-3: "m"}


@dataclass(frozen=True)
class Energy:
    """What was used, and by which assumption."""

    joules: float
    kilowatt_hours: float
    grams_co2: float
    method: str  # "RAPL", "estimate", or both where some sessions of a run could read the counters
    assumption: str

    def __str__(self) -> str:
        how = {"RAPL": "measured", "estimate": "estimated"}.get(self.method, "measured and estimated")
        used = f"{with_prefix(1000 * self.kilowatt_hours, 'Wh')} ({with_prefix(self.joules, 'J')})"
        return f"{used}, {with_prefix(self.grams_co2, 'g')} CO₂, {how}"


@dataclass(frozen=True)
class Usage:
    """What was counted, before any assumption. Those of several sessions or processes add up: first + second.

    Processes on one machine would each count its whole packages: there let all of them meter with `root=None`.
    """

    rapl_joules: float = 0.0
    cpu_seconds: float = 0.0  # of the time in which RAPL could not be read

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.rapl_joules + other.rapl_joules, self.cpu_seconds + other.cpu_seconds)

    def energy(self, core_watts: float = CORE_WATTS, co2_per_kwh: float = CO2_PER_KWH) -> Energy:
        joules = self.rapl_joules + self.cpu_seconds * core_watts
        methods, parts = [], []
        if self.rapl_joules:
            methods.append("RAPL")
            parts.append(f"{with_prefix(self.rapl_joules, 'J')} by RAPL, of the whole processor and all programs on it")
        if self.cpu_seconds or not self.rapl_joules:
            methods.append("estimate")
            parts.append(f"{self.cpu_seconds:,.1f} s of processor time × {core_watts:g} W for a busy core")
        source = ", the world's mean in 2023 (Ember 2024)" if co2_per_kwh == CO2_PER_KWH else ""
        assumption = f"{' and '.join(parts)}, without the rest of the machine; {co2_per_kwh:g} g of CO₂ per kWh{source}"
        hours = joules / JOULES_PER_KWH
        return Energy(joules, hours, hours * co2_per_kwh, " and ".join(methods), assumption)


class EnergyMeter:
    """Counts from when it is made. `read()` it more often than a counter starts again at 0: in 20 minutes at 200 W.

    `root` is the folder of the counters; None: processor time alone.
    """

    def __init__(self, root: str | os.PathLike | None = RAPL):
        try:
            self._packages = [] if root is None else _packages(Path(root))
            self._before = [_number(path / "energy_uj") for path in self._packages]
            self._ranges = [_number(path / "max_energy_range_uj") for path in self._packages]
        except (OSError, ValueError):  # no permission as a rule; some packages without the others would mislead
            self._packages = []
        self._cpu_before = _cpu_seconds()
        self._usage = Usage()

    def read(self) -> Usage:
        """What was used until now."""
        cpu = _cpu_seconds()
        used = Usage(cpu_seconds=cpu - self._cpu_before)
        self._cpu_before = cpu
        if self._packages:
            try:
                now = [_number(path / "energy_uj") for path in self._packages]
            except (OSError, ValueError):
                self._packages = []
            else:
                pairs = zip(now, self._before, self._ranges, strict=True)
                joules = sum(after - before + (size if after < before else 0) for after, before, size in pairs) / 1e6
                self._before, used = now, Usage(rapl_joules=joules)
        self._usage += used
        return self._usage


def _packages(root: Path) -> list[Path]:
    """Those of whole processors: a part of one, or the psys of the platform, would be counted twice."""
    folders = sorted(root.glob("intel-rapl:*"))
    return [each for each in folders if (each / "name").read_text(encoding="utf-8").startswith("package")]


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))


def _cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def flops_per_token(model: Module, length: int = 0, scored: float = 1.0) -> float:
    """Floating-point operations to train on one token of a text of `length`.

    A weight of a matrix is multiplied and added, 2, when going forward; going backward 2 for the gradient of what came
    in and, if it is trained, 2 for its own: 6 N in all (Kaplan and others 2020, "Scaling laws for neural language
    models", section 2.1). Attention adds 6 · length · d_model in each block, or 12 where it looks both ways. `scored`
    is the share of tokens at which all the vocabulary gets scores: 1 where each next token is predicted, 0 under a
    task's head. Norms, activations and the optimizer are left out: they are few. Where the first blocks are frozen,
    they are counted as if gradients went through them.
    """
    base = getattr(model, "base", model)
    head = getattr(base, "head", None)
    output = head.weight if isinstance(head, Module) else base.token_embedding.weight
    tables = {id(each.weight) for each in model.modules() if isinstance(each, Embedding)} | {id(output)}
    matrices = [each for each in model.parameters() if each.ndim == 2 and id(each) not in tables]
    products = sum((6 if each.requires_grad else 4) * each.data.size for each in matrices)
    products += scored * (6 if output.requires_grad else 4) * output.data.size
    blocks = len(getattr(base, "blocks", ()))
    return float(products + (12 if isinstance(base, BERT) else 6) * blocks * length * base.config.d_model)


def pretraining_flops_per_token(config: PretrainConfig, model: Module) -> float:
    """As `flops_per_token`. Of an encoder-decoder, a source's token stands for one of the target too; attention, whose
    lengths vary there, is left out."""
    length = 0 if config.model == "seq2seq" else config.max_seq_len
    return flops_per_token(model, length, config.mask_share if config.model == "bert" else 1.0)


def with_prefix(value: float, unit: str) -> str:
    """
    >>> with_prefix(4370.0, "J"), with_prefix(0.25, "g"), with_prefix(0, "J")
    ('4.37 kJ', '250 mg', '0 J')
    """
    known = value and math.isfinite(value)
    scale = next((scale for scale in PREFIXES if abs(value) >= 0.9995 * scale), 1e-3) if known else 1
    return f"{value / scale:.3g} {PREFIXES[scale]}{unit}"


def training_cost(
    usage: Usage, config, n_tokens: int, tokens_per_second: float, flops_of_token: float
) -> dict[str, object]:
    """For a summary or a report. `config` has `core_watts` and `co2_per_kwh`, of pretraining or fine-tuning."""
    return {
        "energy": dataclasses.asdict(usage.energy(config.core_watts, config.co2_per_kwh)),
        "training_flops": n_tokens * flops_of_token,
        "flops_per_second": tokens_per_second * flops_of_token,
    }
