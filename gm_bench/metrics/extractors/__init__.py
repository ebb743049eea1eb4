"""Extractors: networks whose features and logits the metrics read."""
