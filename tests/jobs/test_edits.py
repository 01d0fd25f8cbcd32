"""Each kind of edit in the editing job, against its own function: channels of S, labels, references."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import restyle_jax as rs
from data_pipelines.folder import ImageError, read_photo
from data_pipelines.transforms import to_model_input
from restyle_jax.checkpoints.attributes import save_attributes
from restyle_jax.checkpoints.edit_transformer import save_editor
from restyle_jax.checkpoints.latent_classifier import load_classifier, save_classifier
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.edit import label, reference, stylespace
from restyle_jax.edit.direction import Direction
from restyle_jax.edit.files import write_directions
from restyle_jax.jobs.edit_options import Like, Towards
from restyle_jax.model import synthesise
from restyle_jax.nets.edit_transformer import EditTransformer, EditTransformerConfig
from restyle_jax.nets.latent_classifier import LatentClassifier, LatentClassifierConfig
from restyle_jax.ops.images import to_bytes
from tests import networks, tiny
from tests.jobs.editing import BATCH, STEPS, K, latents, options, photos, picture, run, saved_codes
from tests.nets.test_attributes import network


@pytest.fixture(scope="module")
def inverted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_codes(tmp_path_factory.mktemp("inverted"))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("classifier") / "best"
    config = LatentClassifierConfig(K, tiny.STYLE_DIM, ("age", "smile"), widths=(16, 16), embedding=4)
    save_classifier(networks.random(LatentClassifier, config), {}, path)
    return path


def test_a_direction_of_s_moves_one_channel(tmp_path: Path, inverted: Path):
    model = rs.load(tiny.checkpoint())
    generator = model.require_generator()[0]
    widths = stylespace.stylegan2_of(generator).config.style_widths
    vector = np.zeros(sum(widths))
    vector[widths[0] + 3] = 1
    write_directions([Direction("channel", vector, "S", widths=widths, unit=4.0)], tmp_path / "channel.npz")
    run(inverted, tmp_path / "out", options(tmp_path / "channel.npz", strengths=(0.0, 2.0), morph=(0.0, 2.0)))
    for name, codes in latents(inverted).items():
        start = stylespace.styles(generator, codes[-1:], batch_size=BATCH)
        found = latents(tmp_path / "out" / "latents.npz")[name]
        np.testing.assert_array_equal(found[0], start[0])
        np.testing.assert_allclose(found[1] - start[0], 8 * vector, atol=1e-5)
        pixels = picture(tmp_path / "out" / "strength_2" / Path(name).with_suffix(".png"))
        assert np.abs(pixels - to_bytes(stylespace.pictures(generator, found[1:], batch_size=BATCH))[0]).max() <= 1
        plain = picture(tmp_path / "out" / "strength_0" / Path(name).with_suffix(".png"))
        assert (
            np.abs(plain - to_bytes(synthesise(model, codes[-1:], batch_size=BATCH))[0]).max() <= 1
            and (plain != pixels).any()
        )


def test_labels_have_a_direction_for_each_photo(tmp_path: Path, inverted: Path, classifier: Path):
    request = Towards("smile", 1, classifier, order=2, updates=2, layers="0-3")
    asked = dataclasses.replace(options(classifier), request=request, classifier=classifier, strengths=(1.0, 4.0))
    outcome, _ = run(inverted, tmp_path / "out", asked)
    net = load_classifier(classifier)
    method = label.Method(2, "token", (0, 1, 2, 3))
    for name, codes in latents(inverted).items():
        found = latents(tmp_path / "out" / "latents.npz")[name]
        expected = label.edit(net, codes[-1:], "smile", 1, 2.0, steps=2, method=method)[0]
        np.testing.assert_allclose(found[1], expected, atol=1e-4)
        assert not (found[:, 4:] - codes[-1, 4:]).any()
    first, second = (entry["classifier"]["target"] for entry in outcome.report["mean"])
    assert 0 < first < second
    with pytest.raises(CheckpointError, match=r"no attribute 'hat'; expected one of age, smile"):
        run(inverted, tmp_path / "no", dataclasses.replace(asked, request=Towards("hat", 1, classifier)))
    with pytest.raises(CheckpointError, match=r"no attribute 'nope'; expected one of age, smile"):
        run(inverted, tmp_path / "no", dataclasses.replace(asked, target="nope"))
    outcome, _ = run(inverted, tmp_path / "other", dataclasses.replace(asked, target="age"))
    assert {entry["classifier"]["meant"] for entry in outcome.report["mean"]} == {"age"}
    other = dataclasses.replace(asked, checkpoint=tiny.checkpoint(resolution=32))
    wide = tmp_path / "latents.npz"
    np.savez(wide, allow_pickle=False, **{"a.png": np.zeros((1, 8, tiny.STYLE_DIM), np.float32)})
    with pytest.raises(CheckpointError, match=r"for codes of 6 x 32; expected .* 8 x 32"):
        run(wide, tmp_path / "no", other)
    with pytest.raises(CheckpointError, match="--layers 3-9: layers are"):
        asked = dataclasses.replace(asked, request=dataclasses.replace(request, layers="3-9"))
        run(inverted, tmp_path / "no", asked)
    assert not (tmp_path / "no").exists()


def test_attributes_of_references(tmp_path: Path, inverted: Path):
    """Two photos of the same name in different folders; with strength 1 the network's result, with 0 the code itself."""
    first, _, second = photos(tmp_path / "photos")
    (tmp_path / "photos" / first).rename(tmp_path / "photos" / "1.png")
    references = (tmp_path / "photos" / "1.png", tmp_path / "photos" / second)
    config = EditTransformerConfig(K, "hair", style_dim=tiny.STYLE_DIM, heads=2, hidden=8)
    editor = networks.random(EditTransformer, config)
    save_editor(editor, {}, tmp_path / "editor")
    request = Like(references, "hair", tmp_path / "editor")
    asked = dataclasses.replace(options(inverted), request=request, strengths=(0.0, 1.0), morph=(0.0, 1.0))
    outcome, _ = run(inverted, tmp_path / "out", asked)
    model = rs.load(tiny.checkpoint())
    inputs = np.stack([to_model_input(read_photo(path), tiny.SIZE, tiny.SIZE) for path in references])
    targets = rs.invert(model, inputs, STEPS, resize_outputs=True).latents[-1]
    for name, codes in latents(inverted).items():
        found = latents(tmp_path / "out" / "latents.npz")[name]
        expected = reference.edit(editor, codes[-1:], targets)[0]
        np.testing.assert_array_equal(found[[0, 2]], codes[[-1, -1]])
        np.testing.assert_allclose(found[[1, 3]], expected, atol=1e-3)
        stem = Path(name).stem
        assert len(list((tmp_path / "out").rglob(f"{stem}.png"))) == 5  # one strip, and two strengths of two references
        assert (tmp_path / "out" / "strength_1" / "deep" / "1" / f"{stem}.png").exists()
        assert (tmp_path / "out" / "morphs" / "1" / f"{stem}.gif").exists()
    assert [entry["reference"] for entry in outcome.report["mean"]] == ["1"] * 2 + ["deep/1"] * 2

    def refused(error: type[Exception], words: str, checkpoint: Path | None = None, **changes: Any) -> None:
        other = dataclasses.replace(asked, request=dataclasses.replace(request, **changes))
        with pytest.raises(error, match=words):
            run(inverted, tmp_path / "no", dataclasses.replace(other, checkpoint=checkpoint or asked.checkpoint))
        assert not (tmp_path / "no").exists()

    refused(CheckpointError, "no attribute 'hat'; expected one of hair", attribute="hat")
    refused(
        CheckpointError, r"nowhere\.png: found no such file; expected a photo", references=(tmp_path / "nowhere.png",)
    )
    refused(CheckpointError, "has no encoder.* the reference is a photo", tiny.checkpoint(encoder=False))
    refused(CheckpointError, "expected one for photos.* the reference is a photo", tiny.checkpoint(in_channels=1))
    sight = LatentClassifierConfig(K, tiny.STYLE_DIM, ("age", "hair"), widths=(8,), embedding=2)
    blind = networks.random(LatentClassifier, sight)
    blind.read.bias[...] = blind.read.bias[...] - 1e4
    save_classifier(blind, {}, tmp_path / "blind")
    asked = dataclasses.replace(asked, classifier=tmp_path / "blind")
    refused(ImageError, r"deep/1\.png \(-\d+\.\d\).*: found no hair there by .*blind")
    (tmp_path / "text.png").write_text("no")
    refused(ImageError, r"text\.png: not a picture", references=(tmp_path / "text.png",))


def test_choices_of_references(tmp_path: Path, inverted: Path):
    """What is measured is the value that the reference shows most; the other values are no other attributes."""
    photos(tmp_path / "photos", 1)
    save_editor(
        networks.random(EditTransformer, EditTransformerConfig(K, "hat", style_dim=tiny.STYLE_DIM, heads=2, hidden=8)),
        {},
        tmp_path / "editor",
    )
    save_attributes(network(), {}, tmp_path / "attributes")
    names = ("age", "hat_cap", "hat_crown")
    sight = networks.random(
        LatentClassifier, LatentClassifierConfig(K, tiny.STYLE_DIM, names, widths=(8,), embedding=2)
    )
    plain = np.asarray(sight.read.bias[...])
    sight.read.bias[...] = plain - 1e4
    save_classifier(sight, {}, tmp_path / "blind")
    sight.read.bias[...] = plain + np.array([[-1e4], [-1e4], [1e4]], np.float32)
    save_classifier(sight, {}, tmp_path / "crowns")
    request = Like((tmp_path / "photos" / "0.png",), "hat", tmp_path / "editor")
    asked = dataclasses.replace(
        options(inverted), request=request, strengths=(1.0,), attributes=tmp_path / "attributes"
    )
    outcome, _ = run(inverted, tmp_path / "out", dataclasses.replace(asked, classifier=tmp_path / "crowns"))
    assert outcome.report["not_measured"].keys() == {"identity"}
    (entry,) = outcome.report["mean"]
    found = entry["classifier"]
    assert found["meant"] == "hat_crown" and found["target"] == found["changes"]["hat_crown"] != 0
    ages = [image["classifier"][0][0] for image in outcome.report["images"].values()]
    assert found["dependency"]["mean"] == pytest.approx(np.abs(ages).mean(), rel=1e-3)
    assert entry["attributes"]["meant"].startswith("hat=")
    with pytest.raises(
        ImageError, match=r"0\.png \(-\d+\.\d\): found no hat there by .*blind.* Choose another reference\.$"
    ):
        run(inverted, tmp_path / "no", dataclasses.replace(asked, classifier=tmp_path / "blind"))
