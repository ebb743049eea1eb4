"""What a track says of its stages, so that nothing runs again that did not change.

Each track has a module `stages` with functions that return the needs of its stages by name:
`of_dataset(params, dataset)` for those that a dataset goes through once, and
`of_cell(params, board, dataset, variant)` for those of a cell. It may say too what of params.yaml is right
(see `settings`). It is imported whenever a board is looked at: let it import nothing that takes long.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Needs:
    """What a stage depends on besides data: its settings, and the modules that its work begins in."""

    settings: Mapping[str, Any]
    modules: list[str]
