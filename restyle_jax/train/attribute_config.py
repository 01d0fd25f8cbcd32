"""What can be said about the training of an attribute network. As `train.config`: an experiment builds one, without JAX."""

import dataclasses

from restyle_jax.train.avatar_config import AvatarTraining


@dataclasses.dataclass(frozen=True)
class AttributeTraining(AvatarTraining):
    """Training of a network that says what is in an avatar (`nets.attributes`), on pictures that are drawn at the start.

    The defaults take 25 minutes on 2 CPU cores. `data` and `test_data` are not used.

    pictures, test_pictures: how many avatars are drawn for training and for the test.
    resolution: of the pictures, in pixels. widths, num_features: see `nets.attributes.AttributeConfig`.
    learning_rate: the highest one, after `warmup` steps; from there it falls to 0 at `max_steps` as half a cosine.
    """
