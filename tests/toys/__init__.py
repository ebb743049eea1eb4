"""Tracks from outside of the package, as somebody else would write them."""
