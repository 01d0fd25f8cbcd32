"""The network for edits by reference: parity with the official code and its losses, and what the form of the paper promises."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from restyle_jax.convert.tables import editing
from restyle_jax.losses.editing import reference_losses
from restyle_jax.nets.edit_transformer import EditTransformer, EditTransformerConfig
from restyle_jax.nets.latent_classifier import LatentClassifier
from restyle_jax.nets.structure import structure
from tests import networks, recipe
from tests.nets.test_latent_classifier import codes, network, official

TINY = EditTransformerConfig(4, "hat", 8, heads=2, hidden=12)
OFFICIAL = EditTransformerConfig(4, "hat", 8, heads=2, hidden=12, form="official")
BANGS = 5


def editor(config: EditTransformerConfig = TINY) -> EditTransformer:
    """With random weights, which change codes."""
    return networks.random(EditTransformer, config)


def fresh(config: EditTransformerConfig) -> EditTransformer:
    return nnx.jit(lambda: EditTransformer(config, rngs=nnx.Rngs(0)))()


def edited(net: EditTransformer, source: jax.Array, reference: jax.Array) -> jax.Array:
    return net(source, reference)


def bangs_losses(net: LatentClassifier, s: jax.Array, e: jax.Array, r: jax.Array) -> dict[str, jax.Array]:
    return reference_losses(net, s, e, r, [BANGS])


def test_parity_with_official_code():
    weights = recipe.build(networks.manifest("style_transformer/edit_transformer"))
    config = EditTransformerConfig(18, "Bangs", form="official")
    source, reference = (networks.latent(f"stf_edit/{name}", (2, 18, 512)) for name in ("src", "ref"))
    found = networks.apply(
        networks.filled(structure(EditTransformer, config), editing.edit_transformer(), weights),
        edited,
        source,
        reference,
    )
    networks.assert_parity({"mix": found}, "style_transformer/edit_transformer", 5e-5)
    losses = networks.apply(official(), bangs_losses, source, found, reference)
    means = [losses[name].mean() for name in ("l2", "l2_ref", "l2_src")]
    np.testing.assert_allclose(means, networks.arrays("style_transformer/edit_transformer")["losses"], rtol=5e-6)


def test_the_form_of_the_paper_starts_from_the_source():
    net = fresh(TINY)
    source, reference = codes(4)[:2], codes(4)[2:]
    np.testing.assert_array_equal(networks.apply(net, edited, source, reference), source)
    assert np.abs(networks.apply(editor(), edited, source, reference) - source).max() > 0.1


def test_the_official_form_forgets_the_source_beyond_its_layer():
    """Its output is normalised, whatever the length of the codes."""
    net = fresh(OFFICIAL)
    found = networks.apply(net, edited, 10 * codes(4)[:2], codes(4)[2:])
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), np.sqrt(8), rtol=1e-3)


@pytest.mark.parametrize("config", [TINY, OFFICIAL])
def test_gradients_reach_every_weight(config: EditTransformerConfig):
    slopes = networks.apply(editor(config), all_slopes, codes(4)[:2], codes(4)[2:])
    leaves = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(slopes)}
    assert len(leaves) == 18 and all(np.abs(leaf).max() > 0 for leaf in leaves.values()), leaves.keys()


def all_slopes(net: EditTransformer, source: jax.Array, reference: jax.Array) -> nnx.State:
    graph, state = nnx.split(net)
    # A sum of squares of the official form is nearly constant.
    return jax.grad(lambda state: (nnx.merge(graph, state)(source, reference) ** 3).sum())(state)


def test_losses_separate_the_attribute_from_the_others():
    net, (source, reference) = network(), np.split(codes(4), 2)
    none = networks.apply(net, hat_losses, source, source, reference)
    assert none["l2"].tolist() == none["l2_src"].tolist() == [0, 0] and (none["l2_ref"] > 0).all()
    all_ = networks.apply(net, hat_losses, source, reference, reference)
    assert all_["l2_ref"].tolist() == [0, 0] and (all_["l2"] > 0).all()
    e_s, e_r = (np.asarray(net(jnp.asarray(w)).embeddings) for w in (source, reference))
    np.testing.assert_allclose(all_["l2_src"], np.square(e_r - e_s)[:, [0, 2]].mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(none["l2_ref"], np.square(e_r - e_s)[:, 1].mean(1), rtol=1e-5)
    several = networks.apply(net, choice_losses, source, reference, reference)
    np.testing.assert_allclose(several["l2_src"], np.square(e_r - e_s)[:, 0].mean(1), rtol=1e-5)
    assert several["l2_ref"].tolist() == [0, 0]


def hat_losses(net: LatentClassifier, s: jax.Array, e: jax.Array, r: jax.Array) -> dict[str, jax.Array]:
    return reference_losses(net, s, e, r, [1])


def choice_losses(net: LatentClassifier, s: jax.Array, e: jax.Array, r: jax.Array) -> dict[str, jax.Array]:
    return reference_losses(net, s, e, r, [1, 2])


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"edits by reference reads \[B, 4, 8\]"):
        editor()(jnp.zeros((1, 4, 8)), jnp.zeros((1, 5, 8)))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"num_styles": 0}, "0 styles"),
        ({"attribute": ""}, "and a name"),
        ({"heads": 3}, "multiple of the number of heads"),
        ({"form": "code"}, "expected 'paper' or 'official'"),
    ]
    for fields, message in wrong:
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(TINY, **fields)
