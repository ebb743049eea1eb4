"""A table of the variants' losses or densities, written once more as numbers, that tests hold the code to."""

from typing import Generic, TypeVar

import pytest

Formula = TypeVar("Formula")


class Formulas(dict[str, Formula], Generic[Formula]):
    """Formulas by name of the variant; a variant without one fails its test in a sentence.

    Args:
        place: the file and the name of the table.
    """

    def __init__(self, place: str, formulas: dict[str, Formula]) -> None:
        super().__init__(formulas)
        self.place = place

    def __missing__(self, name: str) -> Formula:
        pytest.fail(f"{self.place} lacks '{name}': add its formula there, beside those of the others")
