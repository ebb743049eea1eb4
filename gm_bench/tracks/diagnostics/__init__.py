"""Claims: what lectures and papers say of generative models, each an experiment with a verdict."""
