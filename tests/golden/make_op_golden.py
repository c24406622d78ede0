"""Write what PyTorch computes for the example of each op case to ops_<family>.npz, for tests/test_ops.py.

    python tests/golden/make_op_golden.py            # every family (needs the extra `compare`)
    python tests/golden/make_op_golden.py softmax    # one family

For each case and both dtypes: the inputs, the output, and each input's gradient for a fixed upstream one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).parent
sys.path[:0] = [str(GOLDEN.parent), str(GOLDEN.parent.parent)]

from op_cases import cases_by_family, example_inputs, upstream_gradient  # noqa: E402
from op_cases.case import OpCase  # noqa: E402


def golden_arrays(case: OpCase) -> dict[str, np.ndarray]:
    arrays = {}
    for dtype in ("float64", "float32"):
        inputs = [torch.tensor(x.astype(dtype), requires_grad=True) for x in example_inputs(case)]
        out = case.torch(torch, *inputs)
        out.backward(torch.tensor(upstream_gradient(tuple(out.shape), dtype)))
        arrays[f"{case.name}/{dtype}/out"] = out.detach().numpy()
        for number, x in enumerate(inputs):
            arrays[f"{case.name}/{dtype}/input{number}"] = x.detach().numpy()
            arrays[f"{case.name}/{dtype}/grad{number}"] = (torch.zeros_like(x) if x.grad is None else x.grad).numpy()
    return arrays


def main(wanted: list[str]) -> None:
    torch.set_num_threads(1)
    families = cases_by_family()
    for family in wanted or families:
        cases = [case for case in families[family] if case.torch is not None]
        if not cases:
            continue
        arrays = {"torch_version": np.array(torch.__version__)}
        for case in cases:
            arrays |= golden_arrays(case)
        path = GOLDEN / f"ops_{family}.npz"
        np.savez_compressed(path, **arrays)
        print(f"{path.name}: {len(cases)} cases, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
