"""Inversion of many photos, and of single ones by optimisation."""
