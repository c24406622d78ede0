"""Hostile input: damaged and malicious files for every reader of the package.

    python tests/fuzzing/run.py --executions 1000000            all readers; a table at the end
    python tests/fuzzing/run.py --target hub-index --seed 7     one of them, with other inputs
    python tests/fuzzing/run.py --atheris --seconds 60          guided by coverage: pip install -e '.[fuzz]'

Reading order: mutate (how inputs are spoiled), seeds (small valid files, written by the package itself), targets (what
reads them), harness (what counts as an escape), run.
"""
