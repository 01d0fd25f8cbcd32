"""Networks as Flax NNX modules; none of them reads files, flags or devices."""
