"""What can be said about training on codes of inverted photos. JAX is not imported here, see `train.config`."""

import dataclasses
from pathlib import Path
from typing import Literal

from restyle_jax.train import checks
from restyle_jax.train.config import Run


@dataclasses.dataclass(frozen=True)
class CodeTraining(Run):
    """Training on codes. The first of them, sorted by the name of their photo, are for training, the last for the test.

    data: the `latents.npz` of `restyle invert`, of which the last refinement step is used. `test_data` and `workers` are not used.
    test_share: part of the codes that is kept for the test.
    learning_rate, weight_decay: of Adam; the decay is part of the gradient (L2), as in torch.
    """

    test_share: float = 0.1
    learning_rate: float = 1e-4
    weight_decay: float = 5e-4


@dataclasses.dataclass(frozen=True)
class LatentClassifierTraining(CodeTraining):
    """Training of a network that says what is in a code (`nets.latent_classifier`), in the official sizes.

    The defaults are 20 passes over the 27,000 training codes of CelebA-HQ. Codes are as under "edits by reference" below.

    labels: CelebA's list_attr_celeba.txt, or a table .csv with names of photos in its first column and of attributes in its first
        line; none: the photos are avatars (`data_pipelines.avatars`), whose names say what is in them.
    widths, embedding: see `nets.latent_classifier.LatentClassifierConfig`.
    decay_at: the step after which the learning rate is a tenth.
    """

    batch_size: int = 256
    test_batch_size: int = 256
    max_steps: int = 2110
    eval_every: int = 105
    save_every: int = 1055
    labels: Path | None = None
    widths: tuple[int, ...] = (2048, 512)
    embedding: int = 32
    decay_at: int = 1055


@dataclasses.dataclass(frozen=True)
class ReferenceEditTraining(CodeTraining):
    """Training of a network that takes an attribute over from another code (`nets.edit_transformer`).

    data: the `latents.npz` of `restyle invert`, of which the last refinement step is used. The first codes, sorted by the name of
        their photo, are for training, the last `test_share` for the test. `test_data` and `workers` are not used.
    batch_size: half of it are codes to edit, half references, so it is even.
    learning_rate, weight_decay: of Adam; the decay is part of the gradient (L2), as in torch.
    classifier: a latent classifier for the same codes (see `restyle_jax.checkpoints.load_classifier`), which is not changed.
    attribute: what is taken over, as the classifier names it; or a choice whose values it knows, as hair_colour where that is
        hair_colour_black, hair_colour_brown and so on.
    form, heads, hidden, dropout: see `nets.edit_transformer.EditTransformerConfig`.
    l2, l2_ref, l2_src: weights of what should stay: the code; what should come: the attribute; and stay: all others.
    """

    eval_every: int = 1000
    max_steps: int = 50_000
    classifier: Path | None = None
    attribute: str = ""
    form: Literal["paper", "official"] = "paper"
    heads: int = 4
    hidden: int = 1024
    dropout: float = 0.1
    l2: float = 1.0
    l2_ref: float = 1.0
    l2_src: float = 1.0


def problems(config: CodeTraining) -> list[str]:
    """One sentence for each value that is impossible or contradicts another."""
    if wrong := checks.mistyped(config):
        return wrong
    wrong = checks.out_of_range(config)
    if config.data is None:
        wrong.append("data: found none, expected the latents.npz of `restyle invert`")
    if config.test_data is not None:
        wrong.append(f"test_data: found {config.test_data}, expected none, as the last codes of data are for the test")
    if not 0 < config.test_share < 1:
        wrong.append(f"test_share: found {config.test_share}, expected a part between 0 and 1, such as 0.1")
    if config.micro_batches != 1:
        wrong.append(f"micro_batches: found {config.micro_batches}, expected 1, as these networks need little memory")
    if isinstance(config, ReferenceEditTraining):
        wrong += _problems_of_edits(config)
    return wrong


def _problems_of_edits(config: ReferenceEditTraining) -> list[str]:
    wrong = []
    if config.batch_size % 2:
        wrong.append(f"batch_size: found {config.batch_size}, expected an even number: half are codes, half references")
    if config.classifier is None:
        wrong.append(
            "classifier: found none, expected a latent classifier, such as of experiments/latent_classifier_ffhq.py"
        )
    if not config.attribute:
        wrong.append("attribute: found none, expected the name of an attribute of the classifier")
    if not config.dropout < 1:
        wrong.append(f"dropout: found {config.dropout}, expected a part below 1")
    return wrong
