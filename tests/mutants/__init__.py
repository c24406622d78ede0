"""Mutation testing of the gradients: `python -m tests.mutants` alters each backward and kernel and runs its tests."""
