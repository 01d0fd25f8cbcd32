"""The attribute network of avatars: which of 51 drawn factors a picture of 64 px has, and features to compare pictures with.

    restyle train experiments/avatars/attributes.py --workdir runs/avatar_attributes

Hardware: 2 CPU cores, 25 minutes; the pictures are drawn at the start, nothing is downloaded.

Expected result: experiments/RESULTS.md; `python -m experiments.avatars.attribute_accuracy runs/avatar_attributes/best` measures it.

Source of the settings: our own.
"""

from restyle_jax.train.attribute_config import AttributeTraining

config = AttributeTraining(pictures=40_000, test_pictures=2000, resolution=64)
