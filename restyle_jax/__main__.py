"""`python -m restyle_jax` is the `restyle` command."""

from restyle_jax.cli import command

command()
