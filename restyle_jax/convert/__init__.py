"""Checkpoint files of other programs, read and written through tables."""
