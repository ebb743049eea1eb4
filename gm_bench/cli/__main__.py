"""`python -m gm_bench.cli` is `gm-bench`."""

from gm_bench.cli import app

app()
