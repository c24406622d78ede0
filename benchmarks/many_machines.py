"""many_machines.md: what 8, 64 and 1,024 machines would give, from results/distributed.json and stated networks.

python benchmarks/many_machines.py          # after bench_distributed.py; takes no time
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
NODES = (8, 64, 1024)
CORES = (2, 32)
CORE_WATTS = 10  # a busy core, without the rest of the machine; as in train/energy.py


@dataclass(frozen=True)
class Network:
    name: str
    bandwidth: float  # bytes per second, each way
    latency: float  # seconds, per message


# Line rates, and what a message takes from program to program: stated, not measured.
NETWORKS = (
    Network("1 GbE", 1e9 / 8, 50e-6),
    Network("10 GbE", 10e9 / 8, 20e-6),
    Network("100 Gb InfiniBand", 100e9 / 8, 2e-6),
)


@dataclass(frozen=True)
class Model:
    name: str
    parameters: int
    n_layers: int
    d_model: int
    context: int
    seconds_per_token: float  # forward and backward, one core: measured
    fixed_seconds: float  # clipping and optimizer, per step: measured
    tokens: int  # per node and step
    fixed_batch: int  # tokens per step of the recipe
    loss: float  # nats per token, where it is to end
    gpu_share: float  # of the GPU's peak

    @property
    def flop_per_token(self) -> float:
        return 6 * self.parameters + 12 * self.n_layers * self.d_model * self.context

    def compute(self, tokens: float, cores: int) -> float:
        return tokens * self.seconds_per_token / cores + self.fixed_seconds

    def rate(self, cores: int) -> float:
        """Tokens per second of one node on its own."""
        return self.tokens / self.compute(self.tokens, cores)

    @property
    def gpu_rate(self) -> float:
        return self.gpu_share * GPU_FLOPS / self.flop_per_token

    @property
    def critical_batch(self) -> float:
        return 2e8 / self.loss ** (1 / 0.21)


GPU_FLOPS, GPU_WATTS = 312e12, 400


def ring(model: Model, n: int, network: Network, buckets: int = 1) -> tuple[float, float]:
    """Seconds of an all-reduce of all gradients: for the bytes, and for the messages."""
    return 2 * (n - 1) / n * 4 * model.parameters / network.bandwidth, buckets * 2 * (n - 1) * network.latency


def waiting(model: Model, n: int, network: Network, cores: int, tokens: float, overlap: bool) -> float:
    """Seconds of a step in which nodes do nothing but wait."""
    if not overlap:
        return sum(ring(model, n, network))
    backward = 2 / 3 * tokens * model.seconds_per_token / cores
    least = math.inf
    for buckets in (1, 2, 4, 8, 16, 32, 64):
        transfer, messages = ring(model, n, network, buckets)
        last = (transfer + messages) / buckets  # the last bucket is full when the backward pass ends
        least = min(least, max(last, transfer + messages - backward))
    return least


def efficiency(model, n, network, cores, tokens=None, overlap=True) -> float:
    tokens = tokens or model.tokens
    compute = model.compute(tokens, cores)
    # the optimizer's time is the same on every node: one node alone has it once for the whole batch
    return tokens * model.seconds_per_token / cores / (compute + waiting(model, n, network, cores, tokens, overlap))


def models(found: dict) -> tuple[Model, Model]:
    step, gpt2 = found["step"], found["gpt2"]
    tokens = 16 * 128
    small = (step["seconds"]["16"] - step["fixed_seconds"]) / tokens
    large = (gpt2["seconds"] - gpt2["fixed_seconds"]) / gpt2["tokens"]
    sizes = (step["parameters"], 4, 192, 128, small, step["fixed_seconds"])
    return (
        Model("small GPT", *sizes, tokens, tokens, 3.6, 0.05),
        Model("GPT-2 small", gpt2["parameters"], 12, 768, 1024, large, gpt2["fixed_seconds"], 8192, 524288, 3.3, 0.4),
    )


# The page


def table(head: tuple[str, ...], rows: list[tuple]) -> str:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def seconds(value: float) -> str:
    return f"{value:.3g} s" if value >= 1 else f"{1000 * value:.3g} ms"


def number(value: float) -> str:
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 10 else f"{value:.2g}"


def growing_batch(model: Model, cores: int) -> str:
    rows = []
    for n in NODES:
        for network in NETWORKS:
            without, with_ = (efficiency(model, n, network, cores, None, overlap) for overlap in (False, True))
            rate, batch = n * with_ * cores / model.seconds_per_token, n * model.tokens
            useful = rate / (1 + batch / model.critical_batch)
            time = seconds(sum(ring(model, n, network)))
            row = (f"{n:,}", network.name, time, f"{without:.0%}", f"{with_:.0%}", number(rate), number(useful))
            rows.append(row)
    head = ("nodes", "network", "all-reduce", "efficiency", "overlapped", "tokens/s", "tokens/s that count")
    return table(head, rows)


def largest(model: Model, network: Network, cores: int) -> int:
    """The most nodes, by powers of 2, that share the recipe's own batch and work at least half of the time."""
    n, rows = 1, model.fixed_batch // model.context
    while 2 * n <= rows and efficiency(model, 2 * n, network, cores, model.fixed_batch / (2 * n)) >= 0.5:
        n *= 2
    return n


def fixed_rate(model: Model, n: int, network: Network, cores: int) -> float:
    tokens = model.fixed_batch / n
    return n * efficiency(model, n, network, cores, tokens) * cores / model.seconds_per_token


def fixed_batch(both: tuple[Model, Model]) -> str:
    rows = []
    for model in both:
        for cores in CORES:
            for network in NETWORKS:
                n = largest(model, network, cores)
                rate = fixed_rate(model, n, network, cores)
                rows.append((model.name, cores, network.name, f"{n:,}", number(rate), f"{rate / model.gpu_rate:.2g}"))
    head = ("model, its own batch", "cores per node", "network", "most nodes", "tokens/s", "of one A100")
    return table(head, rows)


def gpu(both: tuple[Model, Model]) -> str:
    rows = []
    for model in both:
        core = 1 / model.seconds_per_token
        rows.append(
            (
                model.name,
                f"{model.flop_per_token / 1e9:.3g} GFLOP",
                number(core),
                f"{core * model.flop_per_token / 1e9:.3g} GFLOP/s",
                f"{number(model.gpu_rate)} at {model.gpu_share:.0%}",
                number(model.gpu_rate / core),
                f"{1000 * CORE_WATTS / core:.3g} mJ",
                f"{1000 * GPU_WATTS / model.gpu_rate:.3g} mJ",
            )
        )
    head = ("model", "per token", "one core: tokens/s", "that is", "A100: tokens/s", "cores that equal it")
    return table((*head, "core: per token", "A100: per token"), rows)


def sums(found: dict) -> str:
    rows = []
    for n_ranks, times in found["sums"].items():
        least, most = times["4"], times[str(1 << 23)]
        rate = 2 * (int(n_ranks) - 1) / int(n_ranks) * (1 << 23) / most / 1e9
        rows.append((n_ranks, seconds(least), seconds(most), f"{rate:.2g} GB/s"))
    return table(("ranks", "4 bytes", "8 MiB", "2(n−1)/n · bytes / time"), rows)


def measured_ranks(found: dict) -> str:
    rows, one = [], found["ranks"]["1"]["work"]
    for n, times in found["ranks"].items():
        step = times["work"] + times["waiting"]
        walls = seconds(times["wall"]), number(16 * 128 / times["wall"])
        parts = seconds(times["work"]), seconds(times["waiting"])
        rows.append((n, *walls, *parts, number(16 * 128 / step), f"{one / (int(n) * step):.0%}"))
    head = ("ranks", "step, by the wall", "tokens/s", "own work", "least wait", "tokens/s, a core each", "of linear")
    return table(head, rows)


def page(found: dict) -> str:
    both = models(found)
    machine, overlap, step = found["machine"], found["overlap"], found["step"]["seconds"]
    small, gpt2 = both
    thread = found.get("overlap, progress thread", overlap)
    values = {
        "processor": machine["processor"],
        "cores": machine["cores"],
        "date": machine["date"],
        "load": f"{machine['load']:.1f}",
        "ranks": measured_ranks(found),
        "sums": sums(found),
        "split2": f"{step['16'] / (2 * step['8']):.0%}",
        "split4": f"{step['16'] / (4 * step['4']):.0%}",
        "hidden": f"{overlap['during']['hidden']:.0%}",
        "thread": f"{thread['during']['hidden']:.0%}",
        "after": f"{overlap['after']['exposed']['least']:.1f}",
        "during": f"{overlap['during']['exposed']['least']:.1f}",
        "after_median": f"{overlap['after']['exposed']['median']:.0f}",
        "during_median": f"{overlap['during']['exposed']['median']:.0f}",
        "buckets": overlap["buckets"],
        "megabytes": f"{4 * small.parameters / 1e6:.1f}",
        "last": f"{1 - 4 * 2048 * 192 / (4 * small.parameters):.0%}",
        "small_step": seconds(small.compute(small.tokens, 2)),
        "gpt2_step": seconds(gpt2.compute(gpt2.tokens, 2)),
        "small_fixed": seconds(small.fixed_seconds),
        "gpt2_fixed": seconds(gpt2.fixed_seconds),
        "small_critical": number(small.critical_batch),
        "gpt2_critical": number(gpt2.critical_batch),
        "small_table": growing_batch(small, 2),
        "gpt2_table": growing_batch(gpt2, 2),
        "gpt2_fast": growing_batch(gpt2, 32),
        "fixed": fixed_batch(both),
        "gpu": gpu(both),
        "gpt2_cores": number(gpt2.gpu_rate * gpt2.seconds_per_token),
        "energy": f"{CORE_WATTS * gpt2.seconds_per_token / (GPU_WATTS / gpt2.gpu_rate):.0f}",
        "bytes_gpt2": f"{4 * gpt2.parameters / 1e6:.0f}",
        "ring_1024": seconds(ring(gpt2, 1024, NETWORKS[0])[1]),
        "tree_1024": seconds(2 * math.log2(1024) * NETWORKS[0].latency),
        "eight": number(fixed_rate(gpt2, 8, NETWORKS[1], 32)),
        "eight_share": f"{fixed_rate(gpt2, 8, NETWORKS[1], 32) / gpt2.gpu_rate:.0%}",
    }
    many = 1024 * efficiency(gpt2, 1024, NETWORKS[1], 2) * 2 / gpt2.seconds_per_token / gpt2.gpu_rate
    values["rate_1024"] = f"{many:.1f}"
    values["count_1024"] = f"{many / (1 + 1024 * gpt2.tokens / gpt2.critical_batch):.0%}"
    values["gbe"] = seconds(sum(ring(gpt2, 8, NETWORKS[0])))
    text = (HERE / "many_machines_template.md").read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return text


if __name__ == "__main__":
    results = json.loads((HERE / "results" / "distributed.json").read_text(encoding="utf-8"))
    (HERE / "many_machines.md").write_text(page(results), encoding="utf-8")
