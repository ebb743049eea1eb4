"""Stage resolve: what the stages of a board or of a dataset depend on besides data → resolved/."""

from typing import Annotated

import typer

from gm_bench.config import load_params
from gm_bench.running import resolve
from gm_bench.running.stage import run


def main(
    what: Annotated[str, typer.Argument(help="board, dataset or audit")],
    name: Annotated[str, typer.Argument(help="an entry of boards or datasets in params.yaml, or all")],
    track: Annotated[str, typer.Argument(help="whose stages, for a dataset")] = "generation",
) -> None:
    """Write resolved/boards/NAME or resolved/datasets/NAME."""
    if what == "board":
        resolve.board(load_params(), name)
    elif what == "dataset":
        resolve.dataset(load_params(), name, track)
    elif what == "audit":
        resolve.audit(load_params())
    else:
        raise ValueError(f"'{what}' is neither board, dataset nor audit")


if __name__ == "__main__":
    run(main)
