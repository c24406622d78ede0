"""From a user's line to the arithmetic in at most three step-ins: in a real debugger, and for every op."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from op_cases import cases_by_family, example_inputs, upstream_gradient
from pdb_session import Debugger, line_of

import tinygrad_llm
from tinygrad_llm import kernel
from tinygrad_llm.autograd import Tensor
from tinygrad_llm.ops import softmax as softmax_module

PACKAGE = Path(tinygrad_llm.__file__).parent
# MatMul and Linear choose between our kernel and BLAS in one shared function; both attentions prepare strides and masks
# in one. The loss of soft targets is NumPy arithmetic in its own forward, around the forward of log_softmax.
# RotaryEmbedding's forward and backward are the same rotation, in one function.
ONE_MORE = {"MatMul", "Linear", "Attention", "QKVAttention", "SoftCrossEntropy", "RotaryEmbedding"}
CASES = [case for cases in cases_by_family().values() for case in cases]

JIT_OFF_BY_ENVIRONMENT = """\
from tinygrad_llm import tensor
import tinygrad_llm.functional as F
x = tensor([[1.0, 2.0, 4.0]])
probabilities = F.softmax(x, dim=-1)
"""
JIT_OFF_BY_CONTEXT = """\
from tinygrad_llm import tensor
import tinygrad_llm.functional as F
from tinygrad_llm.kernel import no_jit
x = tensor([[1.0, 2.0, 4.0]])
compiled = F.softmax(x, dim=-1)
with no_jit():
    probabilities = F.softmax(x, dim=-1)
"""


@pytest.mark.parametrize(
    ("source", "disable_jit"),
    [(JIT_OFF_BY_ENVIRONMENT, "1"), (JIT_OFF_BY_CONTEXT, "0")],
    ids=["NUMBA_DISABLE_JIT", "no_jit"],
)
def test_pdb_reaches_the_arithmetic_of_softmax_in_three_step_ins(tmp_path, source, disable_jit):
    script = tmp_path / "lesson.py"
    script.write_text(source, encoding="utf-8")
    stop = next(i for i, line in enumerate(source.splitlines(), 1) if "probabilities =" in line)
    softmax_forward = kernel.plain(softmax_module.softmax_forward)
    with Debugger(["-m", "pdb", str(script)], NUMBA_DISABLE_JIT=disable_jit) as pdb:
        pdb.command(f"tbreak {script}:{stop}")
        assert "probabilities = F.softmax(x, dim=-1)" in pdb.command("continue")

        assert "softmax()" in pdb.command("step")
        pdb.command(f"until {line_of(softmax_module.softmax, 'Softmax.forward(')}")
        assert "forward()" in pdb.command("step")
        pdb.command(f"until {line_of(softmax_module.Softmax.forward, 'softmax_forward(')}")
        assert "softmax_forward()" in pdb.command("step")

        assert "total += e" in pdb.command(f"until {line_of(softmax_forward, 'total += e')}")
        assert float(pdb.command("p float(largest)")) == 4.0
        assert float(pdb.command("p float(e)")) == pytest.approx(np.exp(1.0 - 4.0))
        assert pdb.command("p out_row.shape") == "(3,)"
        files = [line for line in pdb.command("where").splitlines() if line.lstrip("> ").startswith("/")]
        inside = [line for line in files if str(PACKAGE) in line]
        assert len(inside) == 3, files
        assert "lesson.py" in files[files.index(inside[0]) - 1]


def depths(case, wanted: set) -> tuple[list[int], list[int]]:
    """How many frames of the package are on the stack when wanted code is entered, in forward and backward."""
    found = []

    def trace(frame, event, argument):
        if event == "call" and frame.f_code in wanted:
            depth = 0
            while frame.f_code.co_filename.startswith(str(PACKAGE)):
                depth, frame = depth + 1, frame.f_back
            found.append(depth)

    tensors = [Tensor(x, requires_grad=True) for x in example_inputs(case)]
    with kernel.no_jit():
        outer = sys.gettrace()  # a coverage tool's
        sys.settrace(trace)
        try:
            out = case.call(*tensors)
            n_in_forward = len(found)
            out.backward(upstream_gradient(out.shape))
        finally:
            sys.settrace(outer)
    return found[:n_in_forward], found[n_in_forward:]


def for_each(functions):
    return pytest.mark.parametrize("function", dict.fromkeys(functions), ids=lambda function: function.__name__)


@for_each(case.function for case in CASES if case.kernels)
def test_kernels_are_at_most_three_calls_away(function):
    kernels = {each.function.__code__ for each in kernel._kernels}
    found = [depths(case, kernels) for case in CASES if case.kernels and case.function is function]
    in_forward = [depth for forward, _ in found for depth in forward]
    assert in_forward or any(backward for _, backward in found), "no kernel was called"
    assert min(in_forward, default=0) <= 3 + (function.__name__ in ONE_MORE)


@for_each(case.function for case in CASES)
def test_forward_is_at_most_two_calls_away(function):
    """Of one public function at least; others, such as split, are made of that one."""
    cases = [case for case in CASES if case.function is function]
    assert min(depths(case, {function.forward.__code__})[0][0] for case in cases) <= 2
