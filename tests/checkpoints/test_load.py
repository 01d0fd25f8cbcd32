"""Every way in which an official file may say less, or something else, than its tensors."""

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import restyle_jax as rs
from restyle_jax.checkpoints.export import restyle_tree, write_torch
from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.checkpoints.obstacles import differences
from restyle_jax.checkpoints.opts import CARS, task_of
from restyle_jax.refine import Geometry
from tests import official, tiny

ENCODER = "ResNetBackboneEncoder"


def messages(caught: pytest.WarningsRecorder) -> str:
    return "\n".join(str(warning.message) for warning in caught)


def load(path: Path, tree: Any, **kwargs: Any) -> rs.Model:
    """Write and load, with every warning an error."""
    official.write(path, tree)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return rs.load(path, **kwargs)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.pt"


def test_sizes_come_from_the_tensors(file: Path):
    model = load(file, official.checkpoint(ENCODER, resolution=64))
    generator, encoder = model.require_generator()[0].config, model.require_encoder().config
    assert (generator.resolution, generator.num_styles, generator.mapping_layers) == (64, 10, 8)
    assert (generator.z_dim, generator.w_dim, set(generator.channels)) == (128, 128, {128})
    assert (encoder.head, encoder.trunk, encoder.num_styles) == ("backbone", "resnet34", 10)
    assert (encoder.in_channels, encoder.style_dim, encoder.width) == (6, 128, 16)
    assert model.metadata["kind"].startswith("ReStyle") and model.metadata["source"] == "a.pt"


def test_cars_are_cut(file: Path):
    tree = official.checkpoint(ENCODER, opts={"dataset_type": "cars_encode"})
    assert load(file, tree).geometry == Geometry(192, 256, 32)


def test_module_prefixes_and_bare_state_dicts(file: Path):
    tree = official.checkpoint(ENCODER)
    expected = flat_arrays(load(file, tree).require_encoder())
    parallel = {f"module.{key}": value for key, value in tree["state_dict"].items()}
    found = flat_arrays(load(file, {**tree, "state_dict": parallel}).require_encoder())
    assert all((found[name] == array).all() for name, array in expected.items())
    official.write(file, tree["state_dict"])
    with pytest.warns(UserWarning) as caught:
        model = rs.load(file)
    assert (flat_arrays(model.require_encoder())["heads.linear.kernel"] == expected["heads.linear.kernel"]).all()
    for name in (
        "no opts",
        "restyle_jax.load(path, encoder_type='ResNetProgressiveBackboneEncoder')",
        "dataset_type",
        "latent_avg",
    ):
        assert name in messages(caught)


def test_safetensors_with_official_keys(tmp_path: Path):
    generator = official.generator()
    save_file({**generator, "latent_avg": np.zeros(128, np.float32)}, tmp_path / "a.safetensors")
    assert rs.load(tmp_path / "a.safetensors").require_generator()[0].config.resolution == 32


@pytest.mark.parametrize("shape", [(128,), (1, 128), (8, 128)])
def test_shapes_of_latent_avg(file: Path, shape: tuple[int, ...]):
    average = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    w_avg = load(file, {**official.checkpoint(ENCODER), "latent_avg": average}).require_generator()[1]
    np.testing.assert_array_equal(w_avg, np.broadcast_to(average, (8, 128)))


@pytest.mark.parametrize("shape", [(64,), (3, 128), ()])
def test_wrong_shapes_of_latent_avg(file: Path, shape: tuple[int, ...]):
    tree = {**official.checkpoint(ENCODER), "latent_avg": np.zeros(shape, np.float32)}
    with pytest.raises(rs.CheckpointError, match="latent_avg of shape"):
        load(file, tree)


@pytest.mark.parametrize("beside", [{"latent_avg": None}, {}])
def test_latent_avg_in_the_state_dict(file: Path, beside: dict[str, None]):
    tree = official.checkpoint(ENCODER, resolution=8, narrow=32)
    average = tree.pop("latent_avg")
    tree["state_dict"]["latent_avg"] = average
    np.testing.assert_array_equal(load(file, {**tree, **beside}).require_generator()[1], average)
    assert rs.inspect(file)["latent_avg"] == list(average.shape)


@pytest.mark.parametrize("odd", ["x", [1.0] * 16, 3, {}])
def test_latent_avg_that_is_no_array(file: Path, odd: Any):
    tree = {"g_ema": official.generator(resolution=8, narrow=32), "latent_avg": odd}
    with pytest.raises(rs.CheckpointError, match=rf"a latent_avg that is no array \(a {type(odd).__name__}\)"):
        load(file, tree)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_counts_that_were_cast_with_the_rest(file: Path, dtype: type):
    tree = official.checkpoint(ENCODER, resolution=8, narrow=32)
    with np.errstate(over="ignore"):
        states = {key: value.astype(dtype) for key, value in tree["state_dict"].items()}
    states["encoder.bn1.num_batches_tracked"] = np.asarray(100.4, dtype)
    found = flat_arrays(load(file, {**tree, "state_dict": states}).require_encoder())
    assert found["trunk.input_layer.norm.count"] == 100


@pytest.mark.parametrize("stated", [{"latent_avg": None}, {}])
def test_missing_latent_avg_is_estimated(file: Path, stated: dict[str, None]):
    tree = official.checkpoint(ENCODER)
    del tree["latent_avg"]
    official.write(file, {**tree, **stated})
    with pytest.warns(UserWarning, match="no latent_avg"):
        model = rs.load(file)
    generator, w_avg = model.require_generator()
    z = np.random.default_rng(1).standard_normal((20_000, 128)).astype(np.float32)
    sample = generator.mapping(z).mean(0)
    assert w_avg.shape == (8, 128) and np.abs(w_avg - sample).max() < 0.05
    assert (w_avg == w_avg[0]).all()


def test_absolute_codes_start_from_zero(file: Path):
    tree = official.checkpoint("GradualStyleEncoder", opts={"start_from_latent_avg": False})
    del tree["latent_avg"]
    official.write(file, tree)
    with pytest.warns(UserWarning, match="start_from_latent_avg=False"):
        model = rs.load(file)
    assert not np.asarray(model.require_generator()[1]).any()
    assert rs.inspect(file)["missing"] == []


def test_options_that_are_exported_say_what_the_model_does(file: Path):
    """Although those of the file said otherwise."""
    stated = {"start_from_latent_avg": False, "learn_in_w": True}
    official.write(file, official.checkpoint("GradualStyleEncoder", opts=stated))
    with pytest.warns(UserWarning, match="but also a latent_avg: it is used"):
        model = rs.load(file)
    found = restyle_tree(model)["opts"]
    assert found["start_from_latent_avg"] is True and found["learn_in_w"] is False


def test_three_channels_may_be_labels(tmp_path: Path, file: Path):
    model = load(file, official.checkpoint("GradualStyleEncoder", opts={"label_nc": 3}))
    assert model.inputs == "label map" and model.metadata["task"] == "segmentation"
    assert load(file, official.checkpoint("GradualStyleEncoder", opts={"label_nc": 0})).inputs == "photo"
    write_torch(tmp_path / "b.pt", restyle_tree(model), overwrite=False)
    again = rs.load(tmp_path / "b.pt")
    assert again.inputs == "label map"
    rs.save(again, tmp_path / "own")
    assert rs.load(tmp_path / "own").inputs == "label map"


@pytest.mark.parametrize(
    ("data_set", "channels", "task"),
    [
        ("celebs_super_resolution", 3, "super_resolution"),
        ("ffhq_frontalize", 3, "frontalise"),
        ("celebs_sketch_to_face", 1, "sketch"),
        ("celebs_seg_to_face", 19, "segmentation"),
        ("celebs_seg_to_face", 6, None),
        ("ffhq_encode", 6, None),
    ],
)
def test_tasks_that_options_name(data_set: str, channels: int, task: str | None):
    assert task_of({"dataset_type": data_set}, channels) == task


def test_three_channels_are_labels_only_if_no_option_denies_it(file: Path):
    named = {"dataset_type": "celebs_seg_to_face"}
    assert task_of(named, 3) == task_of({**named, "label_nc": 3}, 3) == "segmentation"
    assert task_of({**named, "label_nc": 0}, 3) is None
    official.write(file, official.checkpoint("GradualStyleEncoder", opts={**named, "label_nc": 19}))
    with pytest.warns(UserWarning, match="has opts.label_nc=19, .*taken for one of photos"):
        assert rs.load(file).inputs == "photo"


def test_data_sets_that_official_code_has(file: Path):
    """Only pSp's has other tasks than inversion, and only the others have cars."""

    def found(encoder: str, task: str, **changes: Any) -> tuple[str, list[str]]:
        model = load(file, official.checkpoint(encoder))
        metadata = {key: value for key, value in model.metadata.items() if key != "opts"}
        model = dataclasses.replace(model, metadata={**metadata, "task": task}, **changes)
        return restyle_tree(model)["opts"]["dataset_type"], differences(model, "restyle")

    assert found("GradualStyleEncoder", "super_resolution") == ("celebs_super_resolution", [])
    assert found("Encoder4Editing", "inversion") == ("ffhq_encode", [])
    data_set, (told,) = found("Encoder4Editing", "super_resolution")
    assert data_set == "ffhq_encode" and told.startswith("was trained for super_resolution, for which")
    data_set, (told,) = found("GradualStyleEncoder", "inversion", geometry=CARS)
    assert data_set == "cars_encode" and told.startswith("takes pictures of 192 x 256, for which")


@pytest.mark.parametrize(
    ("opts", "named"),
    [
        ({"output_size": 1024}, "opts.output_size=1024"),
        ({"stylegan_size": 256}, "opts.stylegan_size=256"),
        ({"input_nc": 3}, "opts.input_nc=3"),
        ({"label_nc": 6}, "opts.label_nc=6, but an encoder with 6 input channels: it is taken for one of photos"),
        ({"n_styles": 18}, "opts.n_styles=18"),
        ({"encoder_type": "BackboneEncoder"}, "opts.encoder_type='BackboneEncoder'"),
        ({"encoder_type": "GradualStyleEncoder"}, "opts.encoder_type='GradualStyleEncoder'"),
        ({"encoder_type": "MyEncoder"}, "opts.encoder_type='MyEncoder'"),
        ({"encoder_type": None}, "no opts.encoder_type"),
        ({"dataset_type": None}, "no opts.dataset_type"),
    ],
)
def test_tensors_win_over_options(file: Path, opts: dict[str, Any], named: str):
    official.write(file, official.checkpoint(ENCODER, opts=opts))
    with pytest.warns(UserWarning) as caught:
        model = rs.load(file)
    assert named in messages(caught) and str(file) in messages(caught)
    assert model.require_encoder().config.in_channels == 6
    assert model.require_encoder().config.head == "backbone"
    assert model.require_encoder().config.trunk == "resnet34"


def test_encoder_type_can_be_said(file: Path):
    tree = official.checkpoint("Encoder4Editing", opts={"encoder_type": None})
    model = load(file, tree, encoder_type="Encoder4Editing")
    assert model.require_encoder().config.head == "fpn_progressive"
    with pytest.raises(rs.CheckpointError, match="GradualStyleEncoder or Encoder4Editing"):
        load(file, tree, encoder_type="BackboneEncoder")


def test_encoder_type_is_for_official_encoders(file: Path):
    official.write(file, {"g_ema": official.generator(resolution=8, narrow=32), "latent_avg": np.zeros(16, np.float32)})
    for path, found in ((file, "without an encoder"), (tiny.checkpoint(), "a directory of our format")):
        with pytest.raises(
            rs.CheckpointError, match=rf"{found}(?s:.*)expected encoder_type='Foo'(?s:.*)leave encoder_type out"
        ):
            rs.load(path, encoder_type="Foo")


@pytest.mark.parametrize("dtype", ["foo", "int32", np.int8])
def test_dtypes_that_do_not_float(dtype: Any):
    with pytest.raises(ValueError, match=r"dtype is .*, expected a floating-point type"):
        rs.load(tiny.checkpoint(), dtype=dtype)


def test_first_cars_model_of_e4e_has_two_heads_too_many(file: Path):
    tree = official.checkpoint(
        "ResNetGradualStyleEncoder", resolution=512, narrow=8, opts={"dataset_type": "cars_encode"}
    )
    heads = official.values(
        [
            (key.replace("styles.13.", f"styles.{style}."), shape, dtype, rule)
            for style in (14, 15, 16, 17)
            for key, shape, dtype, rule in official.resized(
                official.entries("restyle_encoders/resnet_gradual_s14_c6", "encoder."), resolution=512, narrow=8
            )
            if "styles.13." in key
        ]
    )
    states = {**tree["state_dict"], **heads}
    average = np.arange(18 * 64, dtype=np.float32).reshape(18, 64)
    official.write(file, {**tree, "state_dict": states, "latent_avg": average})
    with pytest.warns(UserWarning, match="18 style heads"):
        model = rs.load(file)
    assert model.require_encoder().config.num_styles == 16
    np.testing.assert_array_equal(model.require_generator()[1], average[:16])


def test_training_snapshot(file: Path):
    tree = {
        "g": official.generator(seed=1),
        "d": official.discriminator(),
        "g_ema": official.generator(),
        "g_optim": {"state": {0: {"step": 3}}, "param_groups": []},
        "args": {"size": 32},
        "ada_aug_p": 0.0,
    }
    official.write(file, tree)
    with pytest.warns(UserWarning, match="no latent_avg"):
        model = rs.load(file)
    assert model.discriminator is not None and model.discriminator.config.channels == (128,) * 4
    const = flat_arrays(model.require_generator()[0])["synthesis.const"]
    np.testing.assert_array_equal(const, tree["g_ema"]["input.input"][0].transpose(1, 2, 0))


def test_discriminator_alone(file: Path):
    model = load(file, official.discriminator())
    assert model.generator is None and model.discriminator is not None


def test_compute_dtype(file: Path):
    model = load(file, official.checkpoint(ENCODER), dtype="bfloat16")
    assert model.require_generator()[0].synthesis.dtype == "bfloat16"
    assert flat_arrays(model.require_encoder())["heads.linear.kernel"].dtype == np.float32
