"""Where the figures were taken: processor, versions, threads."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from pathlib import Path

import numpy as np


def machine() -> dict[str, str | int]:
    """Facts that figures depend on, and by which two runs can be told to be comparable."""
    import numba

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": processor(),
        "cores": cores,
        "OS": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "BLAS": f"{blas['name']} {blas['version']}",
        "BLAS threads": blas_threads() or cores,
        "Numba": numba.__version__,
        "Numba threads": numba.config.NUMBA_NUM_THREADS,
        "PyTorch": version("torch"),
        "PyTorch threads": torch_threads(),
        "tokenizers": version("tokenizers"),
        "tiktoken": version("tiktoken"),
        "transformers": version("transformers"),
    }


def one_line(facts: dict) -> str:
    """The facts as a sentence for the head of a table."""
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].partition(": ")[2] if names else platform.processor() or platform.machine()


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def blas_threads() -> int | None:
    """Asked from the library where threadpoolctl is installed, else read from the environment."""
    if importlib.util.find_spec("threadpoolctl"):
        from threadpoolctl import threadpool_info

        pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
        return max(pools, default=None)
    names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
    return next((int(os.environ[name]) for name in names if name in os.environ), None)


def torch_threads() -> int | str:
    if importlib.util.find_spec("torch") is None:
        return "not installed"
    import torch

    return torch.get_num_threads()
