"""Stage resolve: what the stages of a board or of a dataset depend on besides data → resolved/."""

from typing import Annotated

import typer

from gm_bench.config import load_params
from gm_bench.running import resolve
from gm_bench.running.stage import run


def main(
    what: Annotated[str, typer.Argument(help="board, dataset or audit")],
    name: Annotated[str | None, typer.Argument(help="of the board or the dataset in params.yaml")] = None,
    track: Annotated[str, typer.Argument(help="whose stages, for a dataset")] = "generation",
) -> None:
    """Write resolved/boards/NAME, resolved/datasets/NAME or resolved/audit."""
    if what == "audit":
        resolve.audit(load_params())
    elif what not in ("board", "dataset"):
        raise ValueError(f"'{what}' is neither board, dataset nor audit")
    elif name is None:
        raise ValueError(f"there are several: give the name of a {what} in params.yaml as well")
    elif what == "board":
        resolve.board(load_params(), name)
    else:
        resolve.dataset(load_params(), name, track)


if __name__ == "__main__":
    run(main)
