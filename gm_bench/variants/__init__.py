"""Generative models: one a file, found by its name."""
