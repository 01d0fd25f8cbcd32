"""What an encoder is trained to minimise: the weighted terms of pSp, ReStyle and e4e, for one refinement step.

Follows `calc_loss` of `training/coach.py` (pSp, e4e) and `training/coach_restyle_{psp,e4e}.py`.
"""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.checkpoints.auxiliary import load_identity, load_perceptual
from restyle_jax.checkpoints.networks import load_moco
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.losses.adversarial import encoder_loss
from restyle_jax.losses.latent import delta_norm, w_norm
from restyle_jax.losses.reconstruction import l2
from restyle_jax.losses.similarity import cosine_similarity
from restyle_jax.nets.discriminators import LatentDiscriminator
from restyle_jax.refine import Estimate
from restyle_jax.train.config import EncoderTraining

TERMS = ("l2", "lpips", "identity", "moco", "w_norm", "l2_crop", "lpips_crop", "adversarial", "delta")


class Aim(NamedTuple):
    """What a batch is compared with: the target f32[B, h, w, 3], what LPIPS sees in it (and in its crop), and what the feature
    networks see in target and source."""

    target: jax.Array
    perceived: dict[str, tuple[jax.Array, ...]]
    features: dict[str, tuple[jax.Array, jax.Array]]


@dataclasses.dataclass(frozen=True)
class Objective:
    """The weights of a configuration and the structure of the networks that its terms need; their arrays are arguments.

    paired: whether source and target may differ in an inversion, because the data are pairs.
    """

    config: EncoderTraining
    graphs: dict[str, nnx.GraphDef[Any]]
    paired: bool = False

    @classmethod
    def load(cls, config: EncoderTraining) -> "tuple[Objective, dict[str, nnx.State]]":
        """The objective and the arrays of its networks.

        Raises CheckpointError if a file is missing, or is another network or one for pictures of another size.
        """
        networks: dict[str, Any] = {}
        if config.lpips or config.lpips_crop:
            files = config.lpips_trunk_weights, config.lpips_linear_weights
            networks["lpips"] = load_perceptual(config.lpips_net, *files)
            _check_size(networks["lpips"].size, config.lpips_trunk_weights, config)
        if config.identity:
            networks["identity"] = load_identity(config.identity_weights)
            _check_size(networks["identity"].size, config.identity_weights, config)
        if config.moco:
            networks["moco"] = load_moco(config.moco_weights, normalise=config.moco_normalise)
        return cls.of(config, networks)

    @classmethod
    def of(cls, config: EncoderTraining, networks: dict[str, nnx.Module]) -> "tuple[Objective, dict[str, nnx.State]]":
        """The objective with these networks, by the names "lpips", "identity" and "moco", and their arrays."""
        split = {name: nnx.split(network) for name, network in networks.items()}
        graphs = {name: graph for name, (graph, _) in split.items()}
        return cls(config, graphs), {name: state for name, (_, state) in split.items()}

    @property
    def weights(self) -> dict[str, float]:
        """{term: weight} of the terms in use."""
        return {term: weight for term in TERMS if (weight := getattr(self.config, term))}

    def network(self, name: str, states: dict[str, nnx.State]) -> Any:
        return nnx.merge(self.graphs[name], states[name], copy=True)

    def aim(self, states: dict[str, nnx.State], target: jax.Array, source: jax.Array) -> Aim:
        """What all refinement steps of a batch are compared with, computed once.

        Sources that are not pictures (sketches, label maps) have no features: the target's stand in for them.
        """
        perceived, features = {}, {}
        if "lpips" in self.graphs:
            lpips = self.network("lpips", states)
            for name in ("lpips", "lpips_crop"):
                if name in self.weights:
                    perceived[name] = lpips.features(cropped(target) if name == "lpips_crop" else target)
        for name in ("identity", "moco"):
            if name in self.graphs:
                network = self.network(name, states)
                of_target = network(target)
                task = self.config.task
                same = task in ("sketch", "segmentation") or (task == "inversion" and not self.paired)
                features[name] = (of_target, of_target if same else network(source))
        return jax.lax.stop_gradient(Aim(target, perceived, features))

    def terms(
        self,
        states: dict[str, nnx.State],
        discriminator: LatentDiscriminator | None,
        estimate: Estimate,
        aim: Aim,
        w_avg: jax.Array,
        stage: jax.Array | None,
    ) -> dict[str, jax.Array]:
        """f32[B] of every term in use, unweighted; their weighted sum `loss`; and by how much the features are nearer to
        the target's than the source's are, `<network>_improvement` (upstream `id_improve`)."""
        (w, y), weights, terms = estimate, self.weights, {}
        if "l2" in weights:
            terms["l2"] = l2(y, aim.target)
        if "l2_crop" in weights:
            terms["l2_crop"] = l2(cropped(y), cropped(aim.target))
        for name, of_target in aim.perceived.items():
            lpips = self.network("lpips", states)
            features = lpips.features(cropped(y) if name == "lpips_crop" else y)
            terms[name] = lpips.distances(features, of_target).sum(-1)
        improvements = {}
        for name, (of_target, of_source) in aim.features.items():
            similarity = cosine_similarity(self.network(name, states)(y), of_target)
            terms[name] = 1 - similarity
            improvements[f"{name}_improvement"] = similarity - cosine_similarity(of_target, of_source)
        if "w_norm" in weights:
            terms["w_norm"] = w_norm(w, w_avg)
        if discriminator is not None:
            terms["adversarial"] = encoder_loss(discriminator, w, stage)
        if "delta" in weights and stage is not None:
            terms["delta"] = delta_norm(w, stage)
        loss = jnp.zeros(w.shape[0])
        for name, term in terms.items():
            loss += weights[name] * term
        return {**terms, **improvements, "loss": loss}


def _check_size(size: int | None, path: Path | None, config: EncoderTraining) -> None:
    if size not in (None, config.height) or size not in (None, config.width):
        raise CheckpointError.explain(
            str(path),
            found=f"a network for pictures of {size} x {size}",
            expected=f"one for {config.height} x {config.width}, the encoder's input",
            remedy="train one for this size, or set height and width",
        )


def cropped(image: jax.Array) -> jax.Array:
    """The face in a picture [B, 256, 256, C] -> [B, 188, 188, C], for `l2_crop` and `lpips_crop` (pSp `training/coach.py`)."""
    return image[:, 35:223, 32:220]
