"""`python -m naics_graph.cli`, the form torchrun starts."""

import sys

from . import main

sys.exit(main())
