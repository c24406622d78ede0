"""Differentiable ops, one file per family, and the operators and methods that they give `Tensor`."""
