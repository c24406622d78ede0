"""What the tests of odd inputs share: a run of an op with its gradients, and a comparison that minds NaN."""

import numpy as np

from tinygrad_llm.autograd import Tensor

DTYPES = ("float32", "float64")


def run(op, *arrays: np.ndarray) -> list[np.ndarray]:
    """The result, and the gradient of each input."""
    inputs = [Tensor(array, requires_grad=True) for array in arrays]
    out = op(*inputs)
    out.backward(np.cos(np.arange(out.data.size, dtype=float)).reshape(out.shape).astype(out.dtype))
    return [out.data, *(each.grad.data for each in inputs)]


def close(got, expected, dtype: str, what: str = "") -> None:
    """NaN and infinities in the same places, and all else near; tiny numbers may be 0."""
    rtol = 1e-9 if dtype == "float64" else 2e-5
    np.testing.assert_allclose(got, np.asarray(expected).astype(dtype), rtol, rtol, err_msg=what)
