"""Hypothesis profiles. The default one draws the same examples in each run, so that a run can be repeated.

For a deeper search with new examples: `pytest --hypothesis-profile=thorough`.
"""

from hypothesis import settings

# The first call of a kernel compiles it, so no example has a deadline.
settings.register_profile("fast", max_examples=15, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=500, deadline=None)
settings.load_profile("fast")
