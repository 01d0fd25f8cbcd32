"""Measurements on held-out avatars, of which everything is known."""
