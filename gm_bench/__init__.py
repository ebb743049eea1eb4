"""gm-bench: a benchmark of generative models that can be re-run."""
