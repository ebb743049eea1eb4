"""How a stage script starts, shows and fails: one sentence and an exit code, never half an output.

Exit codes: 0 done, 1 the input or the machine is at fault (a sentence says what to do), 130 interrupted.
A bug in the code itself still shows its traceback; so does everything when GM_BENCH_TRACEBACK is set.
"""

import functools
import io
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ParamSpec

import typer

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OF_PLAIN_OUTPUT = 150
Arguments = ParamSpec("Arguments")
Board = Annotated[str, typer.Argument(help="an entry of boards in params.yaml")]
Dataset = Annotated[str, typer.Argument(help="an entry of datasets in params.yaml")]
Variant = Annotated[str, typer.Argument(help="an entry of variants in params.yaml")]
Seed = Annotated[int, typer.Argument(min=0)]
Device = Annotated[
    str, typer.Option(envvar="GM_BENCH_DEVICE", help="auto (a GPU where there is one), cpu or cuda")
]
SaveEvery = Annotated[float, typer.Option(envvar="GM_BENCH_SAVE_EVERY", help="seconds between checkpoints")]


def run(main: Callable[..., None]) -> None:
    """Run a stage's function as a command with typer's argument parsing."""
    replace_what_cannot_be_shown()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(guarded(main))
    app()


def guarded(command: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """A command that turns what a user can mend into one sentence."""

    @functools.wraps(command)
    def careful(*arguments: Arguments.args, **options: Arguments.kwargs) -> None:
        replace_what_cannot_be_shown()
        try:
            command(*arguments, **options)
        except KeyboardInterrupt:
            fail("interrupted; what was finished is kept, run the same command again to go on", 130)
        except (ValueError, OSError) as error:
            if os.environ.get("GM_BENCH_TRACEBACK"):
                raise
            fail(f"error: {error}", 1)

    return careful


def refuse_given(context: typer.Context, why: str, *names: str) -> None:
    """End with 2, as of wrong words, where a user gave one of these options, which would be passed over."""
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name in names and source is not None and source.name == "COMMANDLINE":
            fail(f"error: {option.opts[0]} {why}", 2)


def replace_what_cannot_be_shown() -> None:
    """Print a question mark for a character that the terminal does not have, in place of failing at it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def screen(stderr: bool = False) -> "Console":
    """Where tables and sentences are shown as they stand: a path's [brackets] and :names: are no commands."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        width=None if stream is not None and stream.isatty() else WIDTH_OF_PLAIN_OUTPUT,
        markup=False,
        emoji=False,
        highlight=False,
    )


def fail(message: str, code: int) -> None:
    """Print one sentence on stderr and leave with an exit code."""
    sys.stderr.write(" ".join(message.split()) + "\n")
    sys.exit(code)
