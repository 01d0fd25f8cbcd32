"""Pictures in, numpy batches out; imports neither jax nor restyle_jax."""
