"""The percent format: a Python script in cells, which Jupyter and VS Code show as a notebook.

# %% [markdown]
# Prose, each line behind a "#".

# %%
print("code")
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MARK = re.compile(r"# %%(?P<options>.*)")


@dataclass(frozen=True)
class Cell:
    """One cell: `text` without comment signs if it is prose, and the number of its line `# %%`, from 1."""

    text: str
    line: int
    is_prose: bool


def read_cells(source: str) -> list[Cell]:
    """The cells of a percent script; what stands before the first mark (a docstring) is no cell.

    >>> [cell.text for cell in read_cells("# %% [markdown]\\n# # Title\\n#\\n# Words.\\n\\n# %%\\nx = 1\\n")]
    ['# Title\\n\\nWords.', 'x = 1']
    """
    cells, lines = [], source.splitlines()
    marks = [(number, match) for number, line in enumerate(lines) if (match := _MARK.fullmatch(line))]
    ends = [number for number, _ in marks[1:]] + [len(lines)]
    for (start, match), end in zip(marks, ends, strict=True):
        is_prose = "[markdown]" in match["options"]
        body = lines[start + 1 : end]
        if is_prose:
            body = [re.sub("^# ?", "", line) for line in body]
        cells.append(Cell("\n".join(body).strip("\n"), start + 1, is_prose))
    return cells
