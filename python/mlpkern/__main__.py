"""`python -m mlpkern`, the same as the command `mlpkern`."""

import sys

from mlpkern.cli import main

sys.exit(main())
