"""Optimisers of the encoders: Ranger as in upstream's `training/ranger.py`, Adam as in torch, or any optax chain.

Upstream keeps one step count per tensor, and a tensor without a gradient is passed over: a style head that the progressive
schedule opens late starts as if training had just begun. optax counts once for the whole tree, so `while_active` runs an
ordinary optax transformation on every parameter by itself, and `head_activity` says which parameters have a gradient.
A moving average of the weights needs nothing from here: `optax.incremental_update(new, average, 1 - decay)`.
"""

import math
import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from restyle_jax.nets.encoders import EncoderConfig
from restyle_jax.nets.image_encoders import ImageEncoderConfig
from restyle_jax.train.config import EncoderTraining


class Layout(NamedTuple):
    """How an array of ours relates to tensors of upstream's.

    stacked: the leading axis counts parameters (style heads) that are tensors of their own upstream.
    centred: over which axes of the array gradient centralisation takes the mean.
    """

    stacked: bool
    centred: tuple[int, ...]


LayoutRule = Callable[[str, int], Layout]
"""(dotted path, rank) of an array -> its layout."""

# End of an array's path, whether it is stacked, and which axes of each tensor upstream centralises. There these are all
# but the first, which is the output channel, save in the synthesis network
# and in the queries of the Style Transformer, where it is an axis of length one.
_LAYOUTS: tuple[tuple[str, bool, Literal["all", "all but last", "none"]], ...] = (
    (r"(heads|coarse|middle|fine)\.(convs\.\d+|linear)\.kernel", True, "all but last"),
    (r"(heads|coarse|middle|fine)\.(convs\.\d+|linear)\.bias", True, "none"),
    (r"tokens", False, "all"),
    (r"synthesis\.(const|blocks\.\d+\.(conv[01]\.kernel|to_rgb\.(kernel|bias)))", False, "all"),
    (r"kernel", False, "all but last"),
    (r"bias|scale|slope|noise_strength", False, "none"),
)


def upstream_layout(path: str, rank: int) -> Layout:
    """The layout of the parameter at a dotted `path` of an encoder or a StyleGAN2 generator of ours.

    Raises ValueError for a name that is not known here, whose tensor upstream could have any shape.
    """
    for pattern, stacked, centred in _LAYOUTS:
        if re.search(rf"(^|\.)({pattern})$", path):
            last = {"all": rank, "all but last": rank - 1, "none": 0}[centred]
            return Layout(stacked, tuple(range(int(stacked), last)))
    raise ValueError(
        f"the optimiser does not know how upstream stores the parameter {path!r} (rank {rank}); "
        "add its name to the layouts in restyle_jax/train/optim.py, or give the optimiser a `layout` of your own"
    )


def centralise_gradients(layout: LayoutRule = upstream_layout) -> optax.GradientTransformation:
    """Subtract from each gradient its mean over all axes but the output channel (arXiv 2004.01461), where `layout` says so."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        named = _named(updates)
        axes = {path: layout(path, leaf.ndim).centred for path, leaf in named.items()}
        centred = [g - jnp.mean(g, axes[path], keepdims=True) if axes[path] else g for path, g in named.items()]
        return jax.tree.unflatten(jax.tree.structure(updates), centred), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def rectification(step: jax.Array, b1: float, b2: float, threshold: float) -> tuple[jax.Array, jax.Array]:
    """Factor of the learning rate f32[], and whether v divides the update bool[], at `step` int32[] (from 1), as upstream.

    There both come from double precision. rho, the length of the averaged history, is a small difference of large numbers:
    2 / (1 - b2) - 1 - 2 step / (exp(x) - 1) with x = -step log(b2), of which float32 would keep no digit in the first
    steps. The first terms cancel in its power series, which is used up to x = 1.
    """
    decay, rho_inf = -math.log(b2), 2 / (1 - b2) - 1
    s = step.astype(jnp.float32)
    x, unbiased = s * decay, -jnp.expm1(-s * decay)
    series = 1 - x * (1 / 6 - x**2 * (1 / 360 - x**2 * (1 / 15120 - x**2 / 604800)))
    rho = jnp.where(x < 1, rho_inf - 2 / decay + s * series, rho_inf - 2 * s / jnp.expm1(x))
    adaptive = rho > threshold
    rho = jnp.where(adaptive, rho, rho_inf)
    rectified = jnp.sqrt(unbiased * (rho - 4) / (rho_inf - 4) * (rho - 2) / rho * rho_inf / (rho_inf - 2))
    return jnp.where(adaptive, rectified, 1) / -jnp.expm1(s * math.log(b1)), adaptive


def scale_by_rectified_adam(
    b1: float = 0.95, b2: float = 0.999, eps: float = 1e-5, threshold: float = 5
) -> optax.GradientTransformation:
    """Rectified Adam (arXiv 1908.03265) with upstream's epsilon, which is added to the square root of the uncorrected v.

    Up to `threshold` the update is plain momentum with bias correction. `optax.scale_by_radam` corrects v before adding
    epsilon. Raises ValueError for a threshold below 4, where the rectification does not exist.
    """
    if threshold < 4:
        raise ValueError(f"rectified Adam needs a threshold of at least 4, found {threshold}")

    def init(params: Any) -> optax.ScaleByAdamState:
        zeros = [jax.tree.map(jnp.zeros_like, params) for _ in range(2)]
        return optax.ScaleByAdamState(jnp.zeros((), jnp.int32), *zeros)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        count = state.count + 1
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, updates)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * jnp.square(g), state.nu, updates)
        factor, adaptive = rectification(count, b1, b2, threshold)
        steps = jax.tree.map(lambda m, v: factor * jnp.where(adaptive, m / (jnp.sqrt(v) + eps), m), mu, nu)
        return steps, optax.ScaleByAdamState(count, mu, nu)

    return optax.GradientTransformation(init, update)


class LookaheadState(NamedTuple):
    """Number of steps, and the slow weights (zero before the first step)."""

    count: jax.Array
    slow: Any


def lookahead(sync_period: int = 6, sync_rate: float = 0.5) -> optax.GradientTransformation:
    """Every `sync_period` steps the slow weights go `sync_rate` of the way to the weights, which go back to them.

    arXiv 1907.08610, last in a chain. The slow weights start as the weights before the first step. Unlike
    `optax.lookahead` the weights need no partner in the tree of parameters.
    """

    def init(params: Any) -> LookaheadState:
        # Zeros, because a state that shares its arrays with the parameters could not be donated together with them.
        return LookaheadState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        count = state.count + 1
        slow = jax.tree.map(lambda slow, p: jnp.where(state.count == 0, p, slow), state.slow, params)
        sync = count % sync_period == 0
        slow = jax.tree.map(lambda s, p, u: jnp.where(sync, s + sync_rate * (p + u - s), s), slow, params, updates)
        # The weights follow from the new slow ones: were both computed from the old, neither could be overwritten in place.
        updates = jax.tree.map(lambda s, p, u: jnp.where(sync, s - p, u), slow, params, updates)
        return updates, LookaheadState(count, slow)

    return optax.GradientTransformation(init, update)


def while_active(
    inner: optax.GradientTransformation, layout: LayoutRule = upstream_layout
) -> optax.GradientTransformationExtraArgs:
    """`inner` on every parameter by itself (every head of a stack by itself), and only at the steps when it is active.

    `update(updates, state, params, active=tree)`: `active` has the structure of the parameters and bool leaves, of shape []
    or, for a stack of K heads, [K]; None means all. What is inactive gets an update of zero and keeps its state.
    The state is {dotted path: state of `inner`}, with a leading axis K for a stack. Not for transformations that
    look at several parameters at once, such as clipping by the global norm.

    `update` raises ValueError without `params`, or if `active` has another structure.
    """

    @jax.jit  # traced once for each shape, of which a network has few
    def one(update: jax.Array, state: Any, param: jax.Array, active: jax.Array) -> tuple[jax.Array, Any]:
        new, after = inner.update(update, state, param)
        assert isinstance(new, jax.Array)
        state = jax.tree.map(lambda a, b: jnp.where(active, a, b), after, state)
        return jnp.where(active, new, 0), state

    def init(params: Any) -> dict[str, Any]:
        return {
            path: (jax.vmap(inner.init) if layout(path, leaf.ndim).stacked else inner.init)(leaf)
            for path, leaf in _named(params).items()
        }

    def update(updates: Any, state: Any, params: Any = None, *, active: Any = None, **_: Any) -> tuple[Any, Any]:
        if params is None:
            raise ValueError("this optimiser needs the parameters: call update(gradients, state, params, active=...)")
        weights = _named(params)
        flags = dict.fromkeys(weights, True) if active is None else _named(active)
        if flags.keys() != weights.keys():
            raise ValueError(
                "`active` must have one flag for each parameter; these have only the one or the other: "
                + ", ".join(sorted(flags.keys() ^ weights.keys()))
            )
        steps, after = [], {}
        for path, gradient in _named(updates).items():
            stacked = layout(path, gradient.ndim).stacked
            flag = jnp.broadcast_to(flags[path], gradient.shape[:1] if stacked else ())
            step, after[path] = (jax.vmap(one) if stacked else one)(gradient, state[path], weights[path], flag)
            steps.append(step)
        return jax.tree.unflatten(jax.tree.structure(updates), steps), after

    return optax.GradientTransformationExtraArgs(init, update)


def ranger(
    learning_rate: optax.ScalarOrSchedule,
    *,
    b1: float = 0.95,
    b2: float = 0.999,
    eps: float = 1e-5,
    threshold: float = 5,
    sync_period: int = 6,
    sync_rate: float = 0.5,
    weight_decay: float = 0.0,
    layout: LayoutRule = upstream_layout,
) -> optax.GradientTransformationExtraArgs:
    """Gradient centralisation, rectified Adam and lookahead, equal to upstream's Ranger and with its defaults.

    `update(gradients, state, params, active=tree)`, see `while_active`; a schedule of the learning rate counts all steps.
    Weight decay is decoupled: each step subtracts learning rate times `weight_decay` times the parameter.
    """
    return optax.chain(
        centralise_gradients(layout),
        while_active(scale_by_rectified_adam(b1, b2, eps, threshold), layout),
        *([optax.add_decayed_weights(weight_decay)] if weight_decay else []),
        optax.scale_by_learning_rate(learning_rate),
        while_active(lookahead(sync_period, sync_rate), layout),
    )


def adam(
    learning_rate: optax.ScalarOrSchedule, layout: LayoutRule = upstream_layout
) -> optax.GradientTransformationExtraArgs:
    """Adam with torch's defaults and, as in torch, one step count per tensor; `update` takes `active` as `while_active` does."""
    return optax.chain(
        while_active(optax.scale_by_adam(), layout),
        optax.scale_by_learning_rate(learning_rate),
    )


def build(config: EncoderTraining) -> optax.GradientTransformationExtraArgs:
    """The optimiser that the config names. Its `update` takes `active`, which a user's own chain never sees.

    Raises ValueError for an unknown name, or a function that does not return an optax transformation.
    """
    if callable(config.optimizer):
        expected = "expected a function without arguments that returns an optax transformation, such as `lambda: optax.adam(1e-4)`"
        try:
            made: object = config.optimizer()
        except Exception as error:  # it is the user's
            raise ValueError(f"optimizer: fails with {type(error).__name__}: {error}; {expected}") from error
        if not isinstance(made, optax.GradientTransformation):
            raise ValueError(f"optimizer: found a function that returns {made!r}, {expected}")
        return optax.with_extra_args_support(made)
    known = {"ranger": ranger, "adam": adam}
    if config.optimizer not in known:
        raise ValueError(
            f"unknown optimizer {config.optimizer!r}; expected one of {', '.join(known)}, "
            "or a function that returns an optax transformation"
        )
    return known[config.optimizer](learning_rate(config))


def learning_rate(config: EncoderTraining) -> optax.ScalarOrSchedule:
    """The learning rate of the config: a number, or a function of the number of finished steps if it falls."""
    if config.decay_from is None:
        return config.learning_rate
    fall = optax.cosine_decay_schedule(config.learning_rate, max(1, config.max_steps - config.decay_from))
    return optax.join_schedules([optax.constant_schedule(config.learning_rate), fall], [config.decay_from])


def head_activity(params: Any, config: ImageEncoderConfig, stage: jax.typing.ArrayLike | None) -> Any:
    """Which parameters receive a gradient at a progressive `stage` (an integer that may be traced): `active` for `update`.

    params: a tree of arrays with the parameters of an encoder of this config somewhere in it. Head 0 is always active, head
    i from stage i on; so are the lateral connections of a feature pyramid from the stage of the first head behind them on,
    and everything else always. Without a stage all is active. Returns bool leaves: [K] for a stack of heads, else [].
    """
    if stage is None or not isinstance(config, EncoderConfig):
        return jax.tree.map(lambda _: jnp.bool_(True), params)
    coarse, middle, _ = config.levels
    first = {"heads": 0, "coarse": 0, "middle": coarse, "fine": coarse + middle}
    first |= {"lateral1": first["middle"], "lateral2": first["fine"]}
    flags = []
    for path, leaf in _named(params).items():
        part = re.search(r"(?:^|\.)(heads|coarse|middle|fine|lateral[12])\.", path)
        if part is None:
            flags.append(jnp.bool_(True))
            continue
        stacked = upstream_layout(path, leaf.ndim).stacked
        style = first[part[1]] + jnp.arange(leaf.shape[0]) if stacked else jnp.asarray(first[part[1]])
        flags.append((style == 0) | (style <= stage))
    return jax.tree.unflatten(jax.tree.structure(params), flags)


def _named(tree: Any) -> dict[str, Any]:
    """{dotted path: leaf}; the last part of a path into an NNX state, `value`, is left out."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value"): leaf for path, leaf in leaves
    }
