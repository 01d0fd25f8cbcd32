"""Array operations without parameters of a network: resampling, layers, image conversion."""
