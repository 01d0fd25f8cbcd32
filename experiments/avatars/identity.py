"""The identity network of avatars: whether two pictures of 64 px show the same face, for the identity loss of drawn faces.

    restyle train experiments/avatars/identity.py --workdir runs/avatar_identity

Hardware: 2 CPU cores, a quarter of an hour when nothing else runs (the one of the zoo took 88 minutes beside other work); the
pictures are drawn at the start, nothing is downloaded.

Expected result: experiments/RESULTS.md; `python -m experiments.avatars.identity_accuracy runs/avatar_identity/best` measures it.

Source of the settings: our own.
"""

from restyle_jax.train.identity_config import IdentityTraining

config = IdentityTraining(pictures=40_000, test_pictures=1200, resolution=64)
