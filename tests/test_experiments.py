"""The experiment files: each says what was published, and needs nothing but files that people can get."""

import ast
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from restyle_jax.jobs.experiment import read_experiment
from restyle_jax.train.code_config import LatentClassifierTraining
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.errors import TrainingError

FOLDER = Path(__file__).parents[1] / "experiments"
FACE, RESNET, MOCO = "model_ir_se50.pth", "resnet34-333f7ec4.pth", "moco_v2_800ep_pretrain.pt"

# The tables of the papers' repositories: what differs between the runs.
FACES = {"trunk": "irse50", "trunk_weights": FACE, "identity": 0.1, "moco": 0, "geometry": (256, 256, 0)}
OTHERS = {"trunk": "resnet34", "trunk_weights": RESNET, "identity": 0, "moco": 0.5, "geometry": (256, 256, 0)}
CAR = {"geometry": (192, 256, 32)}
RESTYLE = {
    "in_channels": 6,
    "steps_per_image": 5,
    "l2": 1,
    "lpips": 0.8,
    "w_norm": 0,
    "task": "inversion",
    "flip": True,
}
RESTYLE_PSP = {**RESTYLE, "head": "backbone", "eval_every": 5000, "save_every": 10_000, "adversarial": 0, "delta": 0}
ADVERSARY = {
    "adversarial": 0.1,
    "discriminator_learning_rate": 2e-5,
    "r1": 10,
    "r1_every": 16,
    "pool_size": 50,
    "delta": 2e-4,
    "progressive_start": 20_000,
    "progressive_every": 2000,
}
RESTYLE_E4E = {**RESTYLE, **ADVERSARY, "head": "progressive"}
TOON = {"identity": 1, "w_norm": 0.025, "max_steps": 6000}
PSP = {
    **FACES,
    **{"in_channels": 3, "steps_per_image": 1, "l2": 1, "lpips": 0.8, "w_norm": 0, "head": "fpn"},
    **{"eval_every": 2500, "save_every": 5000, "l2_crop": 0, "lpips_crop": 0, "adversarial": 0, "delta": 0},
}
PSP_TASK = {**PSP, "w_norm": 0.005, "flip": False}
E4E = {**PSP, **ADVERSARY, "head": "fpn_progressive", "max_steps": 200_000, "eval_every": 10_000, "test_batch_size": 4}
E4E = {name: value for name, value in E4E.items() if name != "save_every"}
E4E_OTHERS = {**E4E, "identity": 0, "moco": 0.5}
TRANSFORMER = {
    **PSP,
    **{"head": "style_transformer", "max_steps": 600_000, "test_batch_size": 4, "image_every": 5000},
    **{"eval_every": 5000, "save_every": 10_000},
}

PUBLISHED: dict[str, dict[str, Any]] = {
    "restyle_psp_ffhq": {**RESTYLE_PSP, **FACES},
    "restyle_psp_cars": {**RESTYLE_PSP, **OTHERS, **CAR},
    "restyle_psp_church": {**RESTYLE_PSP, **OTHERS},
    "restyle_psp_horse": {**RESTYLE_PSP, **OTHERS},  # by the rules of the other domains; the paper has no such run
    "restyle_psp_wild": {**RESTYLE_PSP, **OTHERS},
    "restyle_psp_toonify": {**RESTYLE_PSP, **FACES, **TOON, "eval_every": 1000, "save_every": 1000},
    "restyle_e4e_ffhq": {**RESTYLE_E4E, **FACES},
    "restyle_e4e_cars": {**RESTYLE_E4E, **OTHERS, **CAR},
    "restyle_e4e_church": {**RESTYLE_E4E, **OTHERS},
    "restyle_e4e_horse": {**RESTYLE_E4E, **OTHERS},
    "restyle_e4e_wild": {**RESTYLE_E4E, **OTHERS},
    "psp_ffhq": PSP,
    "psp_ffhq_frontalize": {
        **PSP,
        **{"task": "frontalise", "flip": True, "lpips": 0.08, "l2": 0.001, "lpips_crop": 0.8, "l2_crop": 0.01},
        **{"identity": 1, "w_norm": 0.005},
    },
    "psp_celebs_sketch": {**PSP_TASK, "task": "sketch", "in_channels": 1, "identity": 0},
    "psp_celebs_segmentation": {**PSP_TASK, "task": "segmentation", "in_channels": 19, "identity": 0},
    "psp_celebs_super_resolution": {**PSP_TASK, "task": "super_resolution", "resize_factors": (1, 2, 4, 8, 16, 32)},
    "psp_toonify": {**PSP, **TOON},
    "e4e_ffhq": E4E,
    "e4e_cars": {**E4E_OTHERS, **CAR},
    "e4e_church": E4E_OTHERS,
    "e4e_horse": E4E_OTHERS,
    "style_transformer_ffhq": {**TRANSFORMER, "test_batch_size": 8},
    # The weight of MoCo is documented nowhere; the trunk is that of faces for every domain.
    "style_transformer_cars": {**TRANSFORMER, **CAR, "identity": 0, "moco": 0.5},
    "restyle_style_transformer_ffhq": {
        **RESTYLE_PSP,
        **FACES,
        "head": "style_transformer",
    },  # by both rules; nobody did this
}
GENERATORS = {
    "ffhq": "stylegan2-ffhq-config-f.pt",
    "celebs": "stylegan2-ffhq-config-f.pt",
    "cars": "stylegan2-car-config-f.pt",
    "church": "stylegan2-church-config-f.pt",
    "horse": "stylegan2-horse-config-f.pt",
    "wild": "afhqwild.pt",
    "toonify": "ffhq_cartoon_blended.pt",
}


def test_every_published_setting_has_a_file() -> None:
    files = {path.stem for path in FOLDER.glob("*.py") if "\nconfig = EncoderTraining(" in path.read_text()}
    assert files == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_settings_are_the_published_ones(name: str) -> None:
    config = read_experiment(FOLDER / f"{name}.py", {})
    found = {key: getattr(config, key) for key in PUBLISHED[name] if key != "geometry"}
    found["geometry"] = (config.height, config.width, config.top)
    assert config.trunk_weights and config.generator
    found["trunk_weights"] = config.trunk_weights.name
    assert found == PUBLISHED[name]
    assert (config.optimizer, config.learning_rate, config.decay_from, config.batch_size) == ("ranger", 1e-4, None, 8)
    assert not config.freeze_batch_norm
    assert config.generator.name == next(file for part, file in GENERATORS.items() if part in name.split("_"))
    assert (config.identity_weights and config.identity_weights.name) == (FACE if config.identity else None)
    assert (config.moco_weights and config.moco_weights.name) == (MOCO if config.moco else None)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_head_of_a_file_says_what_a_reader_needs(name: str) -> None:
    text = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text())) or ""
    assert f"restyle train experiments/{name}.py" in text and f"--workdir runs/{name}" in text
    assert all(word in text for word in ("Hardware:", "Expected", "Source of the settings:"))


def test_settings_of_networks_on_codes_are_the_published_ones() -> None:
    classifier = read_experiment(FOLDER / "latent_classifier_ffhq.py", {})
    assert classifier == LatentClassifierTraining(
        data=classifier.data, labels=classifier.labels, max_steps=2109, decay_at=1054
    )
    assert (classifier.learning_rate, classifier.weight_decay, classifier.batch_size) == (1e-4, 5e-4, 256)
    assert (classifier.widths, classifier.embedding, classifier.test_share) == ((2048, 512), 32, 0.1)
    editor = read_experiment(FOLDER / "reference_edit_ffhq.py", {})
    assert (editor.learning_rate, editor.weight_decay, editor.batch_size, editor.test_share) == (1e-4, 5e-4, 8, 0.1)
    assert (editor.l2, editor.l2_ref, editor.l2_src, editor.heads, editor.hidden, editor.dropout) == (
        1,
        1,
        1,
        4,
        1024,
        0.1,
    )
    for name in ("latent_classifier_ffhq", "reference_edit_ffhq"):
        test_the_head_of_a_file_says_what_a_reader_needs(name)


ADA = {"augment": "bgc", "dtype": "bfloat16", "flip": False}
WITHOUT = {"augment": "none", "dtype": "float32", "flip": True, "learning_rate": 0.002, "ema_kimg": 10}
# resolution, channel base, batch, rate, gamma, group, block, half-life, mapping layers, thousands of pictures
GENERATORS_PUBLISHED: dict[str, tuple[tuple[float, ...], dict[str, Any]]] = {
    "stylegan2_config_f": ((1024, 32768, 32, 0.002, 10, 4, 4, 10, 8, 25_000), WITHOUT),
    "stylegan2_config_e": ((1024, 16384, 32, 0.002, 100, 4, 4, 10, 8, 25_000), WITHOUT),
    "stylegan2_auto": ((256, 16384, 16, 0.0025, 0.8192, 4, 16, 5, 2, 25_000), {**ADA, "ema_ramp": 0.05}),
    "stylegan2_paper256": ((256, 16384, 64, 0.0025, 1, 8, 8, 20, 8, 25_000), ADA),
    "stylegan2_paper512": ((512, 32768, 64, 0.0025, 0.5, 8, 8, 20, 8, 25_000), ADA),
    "stylegan2_paper1024": ((1024, 32768, 32, 0.002, 2, 4, 4, 10, 8, 25_000), ADA),
}


@pytest.mark.parametrize("name", GENERATORS_PUBLISHED)
def test_settings_of_generators_are_the_published_ones(name: str) -> None:
    config = read_experiment(FOLDER / f"{name}.py", {})
    numbers, others = GENERATORS_PUBLISHED[name]
    found = (
        *(config.resolution, config.channel_base, config.batch_size, config.learning_rate, config.r1),
        *(config.stddev_group, config.stddev_block, config.ema_kimg, config.mapping_layers),
        config.max_steps * config.batch_size / 1000,
    )
    assert found == pytest.approx(numbers)
    assert {key: getattr(config, key) for key in others} == others
    same = (config.r1_every, config.path_length, config.path_length_every, config.style_mixing, config.channel_max)
    assert same == (16, 2, 4, 0.9, 512)
    test_the_head_of_a_file_says_what_a_reader_needs(name)


@pytest.mark.parametrize(
    ("resolution", "devices", "batch", "gamma", "half_life"),
    [(128, 1, 32, 0.1024, 10), (256, 8, 64, 0.2048, 20), (512, 1, 8, 6.5536, 2.5), (1024, 1, 4, 52.43, 1.25)],
)
def test_automatic_settings_follow_the_table(
    tmp_path: Path, resolution: int, devices: int, batch: int, gamma: float, half_life: float
) -> None:
    text = (FOLDER / "stylegan2_auto.py").read_text()
    (tmp_path / "edited.py").write_text(text.replace("DEVICES = 1", f"DEVICES = {devices}"))
    config = read_experiment(tmp_path / "edited.py", {"resolution": resolution})
    assert config.resolution == resolution
    assert (config.channel_base, config.learning_rate) == {128: (16384, 0.0025), 256: (16384, 0.0025)}.get(
        resolution, (32768, 0.0025 if resolution == 512 else 0.002)
    )
    own = read_experiment(tmp_path / "edited.py", {"resolution": resolution, "r1": 7.0})
    assert own == dataclasses.replace(config, r1=7.0)
    assert (config.batch_size, config.stddev_group, config.stddev_block) == (batch, 4, batch // devices)
    assert (config.r1, config.ema_kimg) == pytest.approx((gamma, half_life), rel=1e-4)
    larger = read_experiment(tmp_path / "edited.py", {"resolution": resolution, "batch_size": 12 * devices})
    kept = {"batch_size": 12 * devices, "stddev_block": 12, "max_steps": 25_000_000 // (12 * devices)}
    assert larger == dataclasses.replace(config, **kept)
    with pytest.raises(TrainingError, match="resolution: found 0, expected"):
        read_experiment(tmp_path / "edited.py", {"resolution": 0})


def test_the_default_configuration_is_that_of_faces() -> None:
    defaults = EncoderTraining()
    faces = read_experiment(FOLDER / "restyle_psp_ffhq.py", {})
    same = (
        "head",
        "trunk",
        "in_channels",
        "steps_per_image",
        "l2",
        "lpips",
        "optimizer",
        "learning_rate",
        "batch_size",
    )
    assert all(getattr(defaults, name) == getattr(faces, name) for name in same)
