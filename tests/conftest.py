"""Hypothesis profiles, and what several files of tests begin with.

The default profile draws the same examples in each run, so that a run can be repeated. For a deeper search with new
examples: `pytest --hypothesis-profile=thorough`.
"""

import os
import shutil

import pytest
from hypothesis import settings

# Tests often share their cores with other tests. Numba's other thread pools wait busily, and then each short parallel
# loop waits until all of its threads have got a core: many times slower.
os.environ.setdefault("NUMBA_THREADING_LAYER", "workqueue")

# The first call of a kernel compiles it, so no example has a deadline.
settings.register_profile("fast", max_examples=15, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=500, deadline=None)
settings.load_profile("fast")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A file to train on."""
    from cli_runs import write_text  # here, since the package must not be there before the lines above

    return write_text(tmp_path_factory.mktemp("corpus") / "text.txt")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, text):
    """The folder of a finished tiny run."""
    from cli_runs import pretrain

    folder = tmp_path_factory.mktemp("runs") / "run"
    pretrain(folder, text)
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copytree(finished, tmp_path / "run")
