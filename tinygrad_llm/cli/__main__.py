"""`python -m tinygrad_llm.cli` is the command `tinygrad-llm`."""

import sys

from . import main

sys.exit(main())
