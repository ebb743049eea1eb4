"""What the README shows of the code is the code."""

import re
from pathlib import Path

README = Path("README.md").read_text(encoding="utf-8")


def added(file: str) -> str:
    """The text that the README's diff of a file adds."""
    block = re.search(rf"```diff\n--- .*\n\+\+\+ b/{re.escape(file)}\n((?:\+.*\n)+)```", README)
    assert block, f"no diff of {file}"
    return "".join(line[1:] + "\n" for line in block[1].splitlines())


def test_the_variant_that_is_shown_is_one_that_runs() -> None:
    file = "gm_bench/variants/lsgan_pearson.py"
    assert added(file) == Path(file).read_text(encoding="utf-8")


def test_the_recipe_that_is_shown_is_one_that_runs() -> None:
    assert added("params.yaml") in Path("params.yaml").read_text(encoding="utf-8")


def test_every_variant_is_explained() -> None:
    explained = README[README.index("## Variants") : README.index("### Add a variant")]
    for file in Path("gm_bench/variants").glob("[!_]*.py"):
        assert f"`{file.stem}`" in explained
