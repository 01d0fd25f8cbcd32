"""Runnable files: one per experiment, benchmark or proof; each starts with its command."""
