"""The modules of a track, found by its name."""

from importlib import import_module
from types import ModuleType


class TrackError(ValueError):
    """There is no such track; the message says where it was looked for."""


def module_of(track: str, name: str) -> ModuleType:
    """The module `gm_bench.tracks.TRACK.NAME`; of a track with a dot that of a package outside of this one.

    Raises:
        TrackError: there is no such module, or it is no Python.
    """
    module = f"{track if '.' in track else f'gm_bench.tracks.{track}'}.{name}"
    if not all(part.isidentifier() for part in module.split(".")):
        raise TrackError(f"there is no track '{track}': that is no name of a module")
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        where = ""
        if "." in track:
            where = "; where it lies in the working folder, put PYTHONPATH=. in front of the command"
        raise TrackError(f"there is no track '{track}': no module {module}{where}") from None
    except SyntaxError as error:
        raise TrackError(f"{error.filename}, line {error.lineno}: {error.msg}") from None
