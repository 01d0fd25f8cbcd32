"""Directions in latent spaces: what one is, their files, how they are found, and what they do to pictures."""
