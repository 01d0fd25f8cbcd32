"""Drawn faces: how each model of the zoo is made, and what the models can do."""
