"""Metrics: pure functions of features, always (fake, real) in that order."""
