"""Boundaries between codes: the official ones on the same data, and what must hold for any."""

import numpy as np
import pytest

from restyle_jax.edit import interfacegan
from restyle_jax.edit.direction import Direction
from tests import networks, recipe


def samples() -> tuple[np.ndarray, np.ndarray]:
    codes, noise = recipe.latent("interfacegan/codes", (1000, 64)), recipe.latent("interfacegan/noise", (1000, 1))
    towards = recipe.latent("interfacegan/dir", (64, 1))
    return codes, (codes @ towards / np.linalg.norm(towards) + 0.3 * noise).astype(np.float32)


@pytest.mark.parametrize(
    ("key", "chosen", "split", "invalid"),
    [
        ("boundary_ratio02", 0.2, 0.7, None),
        ("boundary_ratio02_split1", 0.2, 1.0, None),
        ("boundary_invalid", 150, 1.0, -1.0),
    ],
)
def test_parity_with_official_code(key: str, chosen: float, split: float, invalid: float | None):
    codes, scores = samples()
    if invalid is not None:
        scores[::10] = invalid
    found = interfacegan.fit(codes, scores, name="smile", space="W", chosen=chosen, split=split, invalid=invalid)
    cosine = found.vector @ networks.arrays("interfacegan/boundary")[key][0]
    print(key, 1 - cosine)
    assert cosine >= 0.9999 and abs(np.linalg.norm(found.vector) - 1) < 1e-6
    assert found.metadata["accuracy"]["training"] > 0.9
    assert (found.metadata["accuracy"]["validation"] is None) == (split == 1)


@pytest.mark.parametrize("conditions", [1, 2, 3])
def test_projections_are_those_of_the_official_code(conditions: int):
    vectors = [recipe.latent(f"interfacegan/b{i}", (1, 64))[0] for i in range(conditions + 1)]
    primal, *others = [Direction(f"b{i}", v / np.linalg.norm(v), "W") for i, v in enumerate(vectors)]
    found = interfacegan.project(primal, others)
    expected = networks.arrays("interfacegan/boundary")[f"proj{conditions}"][0]
    np.testing.assert_allclose(found.vector, expected, atol=1e-6)
    longer = [Direction(d.name, 3 * d.vector, "W") for d in others]
    np.testing.assert_allclose(interfacegan.project(primal, longer).vector, expected, atol=1e-6)
    for other in others:
        assert abs(found.vector @ other.vector) < 1e-6
    assert found.name == "b0_c_" + "_".join(d.name for d in others) and found.space == "W"


def test_accuracies_are_measured_where_they_say():
    """Scores that are a linear function of the codes can be told everywhere, random ones only where the machine has trained."""
    random = np.random.default_rng(0)
    codes, towards = random.standard_normal((2000, 16)), random.standard_normal(16)
    fitted = interfacegan.fit(codes, codes @ towards, name="a", space="Z", chosen=0.2)
    assert fitted.vector @ towards > 0.98 * np.linalg.norm(towards)
    assert min(fitted.metadata["accuracy"].values()) > 0.85 and fitted.metadata["chosen"] == 400
    guessed = interfacegan.fit(codes, random.standard_normal(2000), name="a", space="Z", chosen=50)
    accuracy = guessed.metadata["accuracy"]
    assert accuracy["training"] > 0.65 and max(accuracy["validation"], accuracy["between"]) < 0.7
    whole = interfacegan.fit(codes, codes @ towards, name="a", space="Z", chosen=5000)
    assert whole.metadata["chosen"] == 1000 and whole.metadata["accuracy"]["between"] is None


def test_bad_samples():
    codes, scores = samples()
    for arguments, message in (
        ((codes, scores[1:]), r"codes have shape \(1000, 64\) and scores \(999,\)"),
        ((codes[:, None], scores), r"\(1000, 1, 64\)"),
        ((codes, np.where(scores > 2, np.nan, scores)), "not finite"),
        ((codes, np.ones(1000)), "all scores are 1.0; expected pictures with and without smile"),
        ((codes[:40], scores[:40]), "leaves 0 of 40 codes on each side"),
        ((codes[:0], scores[:0]), "leaves 0 of 0 codes"),
    ):
        with pytest.raises(ValueError, match=message):
            interfacegan.fit(*arguments, name="smile", space="W")
    with pytest.raises(ValueError, match=r"split 1\.5"):
        interfacegan.fit(codes, scores, name="smile", space="W", split=1.5)


def test_conditions_that_do_not_fit():
    smile, age = Direction("smile", np.eye(3)[0], "W"), Direction("age", np.eye(3)[1], "W")
    with pytest.raises(ValueError, match="conditions are none; expected at least one"):
        interfacegan.project(smile, [])
    with pytest.raises(ValueError, match=r"age \(3,\) in Z; expected at least one, \(3,\) in W as smile"):
        interfacegan.project(smile, [Direction("age", age.vector, "Z")])
    with pytest.raises(ValueError, match="leave nothing of smile"):
        interfacegan.project(smile, [age, Direction("both", smile.vector + age.vector, "W")])
    np.testing.assert_allclose(interfacegan.project(smile, [age, age]).vector, smile.vector)
