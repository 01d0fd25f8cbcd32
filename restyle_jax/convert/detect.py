"""Says what a checkpoint file holds: its kind, and the state dict of each network in it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from restyle_jax.convert.errors import CheckpointError
from restyle_jax.convert.tables import nvlabs, stylegan

State = Mapping[str, Any]

RESTYLE = "ReStyle, pSp or e4e checkpoint"
STYLE_TRANSFORMER = "Style Transformer checkpoint"
STYLEGAN2 = "StyleGAN2 checkpoint (rosinality)"
NVLABS = "StyleGAN2 network pickle (NVlabs)"
IDINVERT = "StyleGAN generator (idinvert_pytorch)"
GENFORCE = "StyleGAN generator (genforce)"
FACE = "IR-SE face network"
TORCHVISION = "torchvision ResNet"
MOCO = "MoCo v2 ResNet"
CLASSIFIER = "latent classifier (Style Transformer)"
EDIT = "reference-editing checkpoint (Style Transformer)"
TRUNKS = (FACE, TORCHVISION, MOCO)

# Names of generators in files of a training run: the averaged copy, with which pictures are made, and the trained one.
ROSINALITY_GENERATORS = ("g_ema", "g")
NVLABS_GENERATORS = ("G_ema", "G")
GENFORCE_GENERATORS = ("generator_smooth", "generator")

# Where a generator keeps its mean latent, by the naming of its keys; rosinality's has it beside the network.
AVERAGES = {"nvlabs": nvlabs.AVERAGE, "idinvert": stylegan.AVERAGE, "genforce": stylegan.AVERAGE}

EXPECTED = (
    "a ReStyle, pSp, e4e or Style Transformer checkpoint (encoder.* and decoder.* in `state_dict`), a StyleGAN2 generator in "
    "rosinality's names (`g_ema`), an NVlabs StyleGAN2 network pickle (`G_ema`), a StyleGAN generator of idinvert_pytorch or "
    "genforce, or a directory written by `restyle convert`"
)


@dataclass(frozen=True)
class Contents:
    """The networks of one file.

    naming: whose names the generator's and the discriminator's keys follow: "rosinality", "nvlabs", or for StyleGAN
        "idinvert" or "genforce".
    generator, encoder, discriminator, trunk, classifier, editor: state dicts {key: array} without role prefix, or None. (The
        encoder of a Style Transformer keeps them: its mapping network lies in the decoder.) editor is the transformer of
        reference editing.
    prefixes: what stands before each network's keys in the file, by role; nothing where the file is the state dict.
    nodes: for NVlabs networks, the records of the reader, by role.
    latent_avg: array, or None. opts: the training options, or None. step: the training step, or None.
    strays: tensors beside the networks of a state dict, which nothing has a place for.
    others: names of entries that are not used. left_out: networks that no architecture of ours fits, each with the reason.
    """

    kind: str
    naming: str = "rosinality"
    generator: State | None = None
    encoder: State | None = None
    discriminator: State | None = None
    trunk: State | None = None
    classifier: State | None = None
    editor: State | None = None
    prefixes: Mapping[str, str] = field(default_factory=dict)
    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    latent_avg: Any = None
    opts: Mapping[str, Any] | None = None
    step: int | None = None
    strays: State = field(default_factory=dict)
    others: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def average(self) -> Any:
        """The mean latent, wherever the file keeps it: an array, or None."""
        if self.naming not in AVERAGES:
            return self.latent_avg
        return _array((self.generator or {}).get(AVERAGES[self.naming]))

    @property
    def input_nc(self) -> Any:
        """What the options say about the channels of what the encoder sees; None if nothing."""
        return (self.opts or {}).get("input_nc")

    def attributes(self, role: str) -> Mapping[str, Any]:
        """What an NVlabs network's modules remember of their construction, {dotted path: plain value}; empty for others."""
        return self.nodes[role]["attributes"] if role in self.nodes else {}


def contents(tree: Any, format: str, file: str, *, averaged: bool = True) -> Contents:
    """Recognise the parsed file.

    tree, format: as `reader.read` returns them. file: for messages. averaged: of two generators, whether to take the averaged
    or the trained one. Raises CheckpointError if the file holds something else, naming what was found and what is expected.
    """
    if not isinstance(tree, Mapping):
        raise _unknown(file, f"a single {type(tree).__name__}")
    if format == "nvlabs-pickle":
        return _nvlabs(tree, file, averaged)
    if any(isinstance(tree.get(name), Mapping) for name in (*ROSINALITY_GENERATORS, "d")):
        return _rosinality(tree, file, averaged)
    if isinstance(tree.get("state_dict"), Mapping):
        return _from_states(tree["state_dict"], tree, file)
    if any(isinstance(tree.get(name), Mapping) for name in GENFORCE_GENERATORS):
        return _genforce(tree, file, averaged)
    return _from_states({key: value for key, value in tree.items() if hasattr(value, "shape")}, tree, file)


def _chosen(tree: Mapping[str, Any], names: tuple[str, str], averaged: bool) -> str | None:
    """The name of the generator to take, of an averaged and a trained one, or None if there is none."""
    wanted = names if averaged else reversed(names)
    return next((name for name in wanted if isinstance(tree.get(name), Mapping)), None)


def _rosinality(tree: Mapping[str, Any], file: str, averaged: bool) -> Contents:
    name = _chosen(tree, ROSINALITY_GENERATORS, averaged)
    others = tuple(str(key) for key in tree if key not in (name, "d", "latent_avg"))
    return Contents(
        STYLEGAN2,
        generator=_without_module(tree[name]) if name else None,
        discriminator=_without_module(tree["d"]) if isinstance(tree.get("d"), Mapping) else None,
        prefixes={"generator": f"{name}.", "discriminator": "d."},
        latent_avg=_average(tree.get("latent_avg"), file),
        others=others,
    )


def _genforce(tree: Mapping[str, Any], file: str, averaged: bool) -> Contents:
    name = _chosen(tree, GENFORCE_GENERATORS, averaged)
    assert name is not None
    state = _without_module(tree[name])
    kind = _stylegan_kind(state)
    if kind is None:
        raise CheckpointError.explain(
            file,
            found=f"a `{name}` that is no StyleGAN ({_listing(state)})",
            expected="a StyleGAN generator, if this is a file of genforce",
            remedy="get genforce's PGGAN and StyleGAN2 networks from their original authors",
        )
    others = tuple(str(key) for key in tree if key != name)
    return Contents(*kind, generator=state, prefixes={"generator": f"{name}."}, others=others)


def _stylegan_kind(state: State) -> tuple[str, str] | None:
    """(kind, naming) of a StyleGAN generator's state dict, or None if it is something else."""
    matches = (re.match(r"synthesis\.layer\d{1,4}\.(epilogue\.)?apply_noise\.", key) for key in state)
    found = next((match for match in matches if match), None)
    if found is None:
        return None
    return (IDINVERT, "idinvert") if found[1] else (GENFORCE, "genforce")


def _from_states(states: State, tree: Mapping[str, Any], file: str) -> Contents:
    if not all(isinstance(key, str) for key in states):
        raise _unknown(file, _listing(states))
    stated = next((entry for place in (tree, states) if (entry := place.get("latent_avg")) is not None), None)
    latent_avg = _average(stated, file)
    states = _without_module({key: value for key, value in states.items() if key != "latent_avg"})
    others = tuple(str(key) for key in tree if key not in states and key not in ("state_dict", "latent_avg", "opts"))
    opts, step = tree.get("opts"), tree.get("global_step")
    networks = {
        "latent_avg": latent_avg,
        "opts": dict(opts) if isinstance(opts, Mapping) else None,
        "step": step if isinstance(step, int) else None,
        "others": tuple(name for name in others if name != "global_step"),
    }
    if any(key.startswith("generator.synthesis.") for key in states):
        raise CheckpointError.explain(
            file,
            found="the weights of our own format without its config.json",
            expected="both files in one directory",
            remedy="copy config.json next to it, or convert the original file again",
        )
    if "fcs.0.weight" in states or any(
        key.startswith(("classifier.fcs.", "encoder.transformerlayer.")) for key in states
    ):
        return _editing(states, networks)
    if any(key.startswith(("encoder.", "decoder.")) for key in states):
        return _restyle(states, networks, file)
    kind = _stylegan_kind(states)
    if kind is not None:
        return Contents(*kind, generator=states, **networks)
    if "input.input" in states or "conv1.conv.weight" in states:
        return Contents(STYLEGAN2, generator=states, **networks)
    if "final_linear.0.weight" in states or "final_conv.0.weight" in states:
        return Contents(STYLEGAN2, discriminator=states, **networks)
    if any(key.startswith("input_layer.") for key in states) and not any(key.startswith("styles.") for key in states):
        return Contents(FACE, trunk=states, **networks)
    if any(key.startswith("encoder_q.") for key in states):
        unused = {key.partition(".")[0] for key in states} - {"encoder_q"}
        networks["others"] += tuple(sorted(unused))
        return Contents(MOCO, trunk=_below(states, "encoder_q."), **networks)
    if "layer1.0.conv1.weight" in states:
        return Contents(TORCHVISION, trunk=states, **networks)
    raise _unknown(file, _listing(tree.get("state_dict", tree)))


def _editing(states: State, networks: dict[str, Any]) -> Contents:
    if "fcs.0.weight" in states:
        return Contents(CLASSIFIER, classifier=states, **networks)
    prefixes = {"editor": "encoder.", "generator": "decoder.", "classifier": "classifier."}
    found = {role: _below(states, prefix) or None for role, prefix in prefixes.items()}
    strays = {key: value for key, value in states.items() if not key.startswith(tuple(prefixes.values()))}
    kind = CLASSIFIER if found["editor"] is None else EDIT
    return Contents(kind, prefixes=prefixes, strays=strays, **found, **networks)


def _restyle(states: State, networks: dict[str, Any], file: str) -> Contents:
    encoder, decoder = _below(states, "encoder."), _below(states, "decoder.")
    if not encoder or not decoder:
        absent, present = ("encoder", "decoder") if decoder else ("decoder", "encoder")
        raise CheckpointError.explain(
            file,
            found=f"{present}.* tensors but no {absent}.* tensors",
            expected="both networks of a ReStyle, pSp, e4e or Style Transformer checkpoint",
            remedy="use the complete checkpoint that training wrote",
        )
    if unsupported := _unsupported_encoder(encoder):
        raise CheckpointError.explain(
            file,
            found=f"an encoder of the kind {unsupported}",
            expected="one with a head for each style (BackboneEncoder, Encoder4Editing, ...), or a Style Transformer",
            remedy="use a checkpoint of one of these; this kind is not supported",
        )
    prefixes = {"generator": "decoder.", "encoder": "encoder."}
    strays = {key: value for key, value in states.items() if not key.startswith(("encoder.", "decoder."))}
    kind = RESTYLE
    if any(key.startswith("transformerlayer_") for key in encoder):
        kind, prefixes["encoder"] = STYLE_TRANSFORMER, ""
        encoder = {key: states[key] for key in states if key.startswith(("encoder.", "decoder.style."))}
    return Contents(kind, generator=decoder, encoder=encoder, prefixes=prefixes, strays=strays, **networks)


def _unsupported_encoder(encoder: State) -> str | None:
    if any(key.startswith(("styles.", "transformerlayer_")) for key in encoder):
        return None
    if any(key.startswith("output_layer_2.") for key in encoder):
        return "BackboneEncoderUsingLastLayerIntoWPlus"
    return "BackboneEncoderUsingLastLayerIntoW or SingleStyleCodeEncoder" if "linear.weight" in encoder else None


def _nvlabs(tree: Mapping[str, Any], file: str, averaged: bool) -> Contents:
    if "class_name" in tree:  # a network that was pickled alone
        tree = {"D" if tree["class_name"] == "Discriminator" else "G_ema": tree}
    name = _chosen(tree, NVLABS_GENERATORS, averaged)
    roles = {"generator": tree.get(name) if name else None, "discriminator": tree.get("D")}
    found = {role: node for role, node in roles.items() if isinstance(node, Mapping) and "class_name" in node}
    if not found:
        raise _unknown(file, _listing(tree))
    left_out: tuple[str, ...] = ()
    for role, node in list(found.items()):
        fault = nvlabs.architecture_fault(role, node)
        if fault and role == "discriminator" and "generator" in found:  # pictures need none
            del found[role]
            left_out = (f"D ({fault})",)
        elif fault:
            raise CheckpointError.explain(
                file,
                found=f"{fault} (the {role}, class {node['class_name']})",
                expected="the StyleGAN2 skip generator and residual discriminator, their defaults",
                remedy="use a network that was trained with `--cfg` auto, stylegan2 or paper*",
            )
    return Contents(
        NVLABS,
        naming="nvlabs",
        prefixes={"generator": f"{name}.", "discriminator": "D."},
        nodes=found,
        others=tuple(str(key) for key in tree if key not in (name, "D")),
        left_out=left_out,
        **{role: node["state"] for role, node in found.items()},
    )


def _without_module(states: State) -> dict[str, Any]:
    """Strip what DataParallel puts in front of a name, or behind the role of a network."""
    return {
        re.sub(r"^((?:en|de)coder\.|classifier\.)?module\.", r"\1", str(key)): value for key, value in states.items()
    }


def _below(states: State, prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in states.items() if key.startswith(prefix)}


def _average(value: Any, file: str) -> Any:
    """A latent_avg, which is an array or None. Raises CheckpointError for anything else."""
    if value is None or hasattr(value, "shape"):
        return value
    raise CheckpointError.explain(
        file,
        found=f"a latent_avg that is no array (a {type(value).__name__})",
        expected="an array of numbers, or none",
        remedy="save it as a tensor, or leave it out to have it estimated",
    )


def _array(value: Any) -> Any:
    return value if hasattr(value, "shape") else None


def indices(state: State, prefix: str) -> Iterator[int]:
    """The numbers that follow `prefix` in the keys of a state dict."""
    for key in state:
        # No network has a thousand of anything but pixels: a larger number is a damaged key.
        match = re.match(re.escape(prefix) + r"(\d{1,4})(?:\.|$)", key)
        if match:
            yield int(match[1])


def _unknown(file: str, found: str) -> CheckpointError:
    return CheckpointError.explain(
        file, found=found, expected=EXPECTED, remedy="check that this is the file you meant to give"
    )


def _listing(tree: Mapping[Any, Any]) -> str:
    names = [str(key) for key in tree]
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"entries {shown}" if names else "no entries"
