"""How a stage script starts and how it fails: one sentence and an exit code, never half an output.

Exit codes: 0 done, 1 the input or the machine is at fault (a sentence says what to do), 130 interrupted.
A bug in the code itself still shows its traceback; so does everything when GM_BENCH_TRACEBACK is set.
"""

import functools
import os
import sys
from collections.abc import Callable
from typing import Annotated, ParamSpec

import typer

Arguments = ParamSpec("Arguments")
Board = Annotated[str, typer.Argument(help="an entry of boards in params.yaml")]
Dataset = Annotated[str, typer.Argument(help="an entry of datasets in params.yaml")]
Variant = Annotated[str, typer.Argument(help="an entry of variants in params.yaml")]
Seed = Annotated[int, typer.Argument(min=0)]
Device = Annotated[
    str, typer.Option(envvar="GM_BENCH_DEVICE", help="auto (a GPU where there is one), cpu or cuda")
]


def run(main: Callable[..., None]) -> None:
    """Run a stage's function as a command with typer's argument parsing."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(guarded(main))
    app()


def guarded(command: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """A command that turns what a user can mend into one sentence."""

    @functools.wraps(command)
    def careful(*arguments: Arguments.args, **options: Arguments.kwargs) -> None:
        try:
            command(*arguments, **options)
        except KeyboardInterrupt:
            fail("interrupted; what was finished is kept, run the same command again to go on", 130)
        except (ValueError, OSError) as error:
            if os.environ.get("GM_BENCH_TRACEBACK"):
                raise
            fail(f"error: {error}", 1)

    return careful


def fail(message: str, code: int) -> None:
    """Print one sentence on stderr and leave with an exit code."""
    sys.stderr.write(" ".join(message.split()) + "\n")
    sys.exit(code)
