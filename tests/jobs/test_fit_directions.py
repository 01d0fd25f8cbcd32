"""Fits of directions with a tiny generator: each writes what its method finds, from the seed alone, or says what is wrong."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

import restyle_jax as rs
from restyle_jax.checkpoints.attributes import save_attributes
from restyle_jax.checkpoints.latent_classifier import load_classifier, save_classifier
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.edit import sefa
from restyle_jax.edit.direction import Direction, apply
from restyle_jax.edit.files import read_directions, write_directions
from restyle_jax.edit.stylespace import pictures, styles
from restyle_jax.jobs.edit_measures import logits_of
from restyle_jax.jobs.fit_directions import Fit, GANSpace, InterFaceGAN, Scores, SeFa, StyleSpace, fit_directions
from restyle_jax.jobs.outputs import OutputError
from restyle_jax.nets.attributes import describe, readings
from restyle_jax.nets.latent_classifier import LatentClassifier, LatentClassifierConfig
from tests import networks, tiny
from tests.nets.test_attributes import network

K = 6


@pytest.fixture(scope="module")
def attributes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("attributes") / "best"
    save_attributes(network(), {}, path)
    return path


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("classifier") / "best"
    config = LatentClassifierConfig(K, tiny.STYLE_DIM, ("age", "smile"), widths=(16,), embedding=4)
    save_classifier(networks.random(LatentClassifier, config), {}, path)
    return path


def fit(output: Path, **changes: Any) -> Fit:
    return Fit(**{"checkpoint": tiny.checkpoint(encoder=False), "output": output, "batch_size": 50, **changes})


def test_a_boundary_raises_what_the_classifier_says(tmp_path: Path, classifier: Path):
    asked = InterFaceGAN(Scores("smile", 2000, classifier=classifier), chosen=0.1)
    (found,) = fit_directions(fit(tmp_path / "smile.npz"), asked)
    (saved,) = read_directions(tmp_path / "smile.npz")
    np.testing.assert_array_equal(saved.vector, found.vector)
    assert saved.name == "smile" and saved.space == "W" and saved.metadata == found.metadata
    assert found.metadata["accuracy"]["validation"] > 0.8 and found.metadata["chosen"] == 200
    assert found.metadata["settings"]["samples"] == 2000 and found.metadata["settings"]["attribute"] == "smile"
    net = load_classifier(classifier)
    w_avg = rs.load(tiny.checkpoint(encoder=False)).require_generator()[1]
    low, high = (logits_of(net, np.asarray(codes))[:, 1].mean() for codes in apply(found, w_avg[None], [-3.0, 3.0]))
    assert high > low + 0.1

    (again,) = fit_directions(fit(tmp_path / "again.npz"), asked)
    np.testing.assert_array_equal(again.vector, found.vector)
    alone = dataclasses.replace(
        asked, conditions=(tmp_path / "smile.npz",), scores=dataclasses.replace(asked.scores, attribute="age")
    )
    (projected,) = fit_directions(fit(tmp_path / "age.npz"), alone)
    assert projected.name == "age_c_smile" and abs(float(projected.vector @ found.vector)) < 1e-6
    (other,) = fit_directions(fit(tmp_path / "z.npz", seed=1), dataclasses.replace(asked, space="Z"))
    assert other.space == "Z" and other.vector.shape == (tiny.STYLE_DIM,)


def test_scores_are_read_off_pictures(tmp_path: Path, attributes: Path):
    asked = InterFaceGAN(Scores("hat=cap", 240, attributes=attributes, truncation_psi=1.0), chosen=0.25)
    (found,) = fit_directions(fit(tmp_path / "hat.npz"), asked)
    assert found.metadata["accuracy"]["validation"] > 0.6 and found.metadata["settings"]["attributes"] == str(
        attributes
    )
    with pytest.raises(CheckpointError, match=r"no attribute 'hat'; expected one of yaw, smile, .* hat=cap"):
        asked = dataclasses.replace(asked, scores=dataclasses.replace(asked.scores, attribute="hat"))
        fit_directions(fit(tmp_path / "none.npz"), asked)


def test_channels_of_an_attribute_change_what_is_seen(tmp_path: Path, attributes: Path):
    scores = Scores("smile", 200, attributes=attributes, truncation_cutoff=None)
    found = fit_directions(fit(tmp_path / "channels.npz"), StyleSpace(scores, positives=10, channels=4))
    assert [direction.name for direction in found] == ["smile0", "smile1", "smile2", "smile3"]
    order = [direction.metadata["score"] for direction in found]
    assert order == sorted(order, reverse=True) and all(direction.space == "S" for direction in found)
    generator, w_avg = rs.load(tiny.checkpoint(encoder=False)).require_generator()
    s = styles(generator, np.asarray(w_avg)[None])
    net = network()
    moved = np.concatenate([np.asarray(part) for part in apply(found[0], s, [-4.0, 4.0])])
    seen = readings(net.config, describe(net, pictures(generator, moved)))
    assert (seen[0] != seen[1]).any()


def test_components_need_no_scores(tmp_path: Path):
    found = fit_directions(fit(tmp_path / "pca.npz"), GANSpace(600, components=3))
    assert [direction.name for direction in read_directions(tmp_path / "pca.npz")] == [
        f"component{i}" for i in range(3)
    ]
    shares = [direction.metadata["explained"] for direction in found]
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) < 1
    layers = fit_directions(fit(tmp_path / "sefa.npz"), SeFa("1-2", 5))
    generator = rs.load(tiny.checkpoint(encoder=False)).require_generator()[0]
    for direction, expected in zip(layers, sefa.factorise(generator, "1-2", count=5), strict=True):
        np.testing.assert_array_equal(direction.vector, expected.vector)
        assert direction.layers == (1, 2) and direction.metadata["settings"]["layers"] == "1-2"


def test_requests_that_do_not_fit(tmp_path: Path, classifier: Path):
    def refused(error: type[Exception], words: str, method: Any, **changes: Any) -> None:
        with pytest.raises(error, match=words):
            fit_directions(fit(**{"output": tmp_path / "out.npz", **changes}), method)
        assert not (tmp_path / "out.npz").exists()

    scores = Scores("smile", 100, classifier=classifier)
    useless = load_classifier(classifier)
    nnx.update(useless, jax.tree.map(lambda leaf: leaf * np.nan, nnx.state(useless)))
    save_classifier(useless, {}, tmp_path / "useless")
    for method in (InterFaceGAN, StyleSpace):
        asked = method(dataclasses.replace(scores, classifier=tmp_path / "useless"))
        refused(CheckpointError, "100 of 100 scores by .*useless are not finite", asked)
    refused(OutputError, "written as .npz", SeFa(), output=tmp_path / "out.pt")
    (tmp_path / "there.npz").write_text("mine")
    refused(OutputError, "exists. Choose another --output", SeFa(), output=tmp_path / "there.npz")
    assert (tmp_path / "there.npz").read_text() == "mine"
    refused(CheckpointError, "No such file", SeFa(), checkpoint=tmp_path / "nowhere.pkl")
    refused(CheckpointError, "no directions can be found: layers are", SeFa("4-9"))
    refused(CheckpointError, "33 components .* were asked for", GANSpace(100, tiny.STYLE_DIM + 1))
    refused(CheckpointError, "chosen is 0.001", InterFaceGAN(scores, chosen=0.001))
    refused(
        CheckpointError,
        r"for codes of 6 x 32; .* 8 x 32",
        InterFaceGAN(scores),
        checkpoint=tiny.checkpoint(resolution=32),
    )
    refused(CheckpointError, "nowhere.npz", InterFaceGAN(scores, conditions=(tmp_path / "nowhere.npz",)))
    write_directions([Direction("wide", np.ones(512), "W")], tmp_path / "wide.npz")
    refused(
        CheckpointError,
        r"wide\.npz: found a direction of 512",
        InterFaceGAN(scores, conditions=(tmp_path / "wide.npz",)),
    )
    refused(CheckpointError, "in W where Z", InterFaceGAN(scores, "Z", conditions=(tmp_path / "wide.npz",)))
    np.save(tmp_path / "stylegan_ffhq_age_boundary.npy", np.ones((1, tiny.STYLE_DIM)))
    of_z = (tmp_path / "stylegan_ffhq_age_boundary.npy",)
    refused(CheckpointError, "in Z where W", InterFaceGAN(scores, "W", conditions=of_z))
