"""Hypothesis profiles. The default one draws the same examples in each run, so that a run can be repeated.

For a deeper search with new examples: `pytest --hypothesis-profile=thorough`.
"""

import os

from hypothesis import settings

# Tests often share their cores with other tests. Numba's other thread pools wait busily, and then each short parallel
# loop waits until all of its threads have got a core: many times slower.
os.environ.setdefault("NUMBA_THREADING_LAYER", "workqueue")

# The first call of a kernel compiles it, so no example has a deadline.
settings.register_profile("fast", max_examples=15, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=500, deadline=None)
settings.load_profile("fast")
