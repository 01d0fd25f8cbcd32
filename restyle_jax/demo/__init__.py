"""The page of `restyle demo`, which shows in one file what a checkpoint does, and the served one to try things on."""

MOST_STEPS = 10
"""How many steps the served page offers."""
