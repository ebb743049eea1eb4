"""Images of another program, under the protocol of a dataset."""
