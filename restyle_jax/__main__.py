"""`python -m restyle_jax` is the `restyle` command."""

import sys

from restyle_jax.cli import main

sys.exit(main())
