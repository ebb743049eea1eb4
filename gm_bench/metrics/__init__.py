"""Metrics: pure functions of feature tensors, always `(fake, real)`; no files, no printing, no repair."""
