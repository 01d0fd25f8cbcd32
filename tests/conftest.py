"""Every comparison is made in float32 proper: on accelerators the default matrix product rounds its inputs."""

import restyle_jax  # noqa: F401, I001  (before jax: it chooses the convolutions of the CPU backend)

import jax

jax.config.update("jax_default_matmul_precision", "highest")
