"""What is wanted of somebody's images, in the user's words: judged before anything slow is imported."""

from dataclasses import dataclass
from pathlib import Path

PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
CHANNELS = {"grey": 1, "rgb": 3}
RANGES = {"0,1": (0.0, 1.0), "-1,1": (-1.0, 1.0)}  # what floats may be said to span


class WantedError(ValueError):
    """Nothing is there or opened, or a word is not known; the message says what to give."""


@dataclass(frozen=True)
class Wanted:
    """What the images are to be turned into; None leaves them as they are.

    Args:
        channels: 1 (ITU-R 601 luma) or 3 (grey repeated).
        size: side in pixels to which the central square of each is resized, bicubic with antialiasing.
        bounds: what floats in a file or in memory have for black and white; they are never guessed. What is
            uint8 stays as it is.
    """

    channels: int | None = None
    size: int | None = None
    bounds: tuple[float, float] | None = None


def in_words(channels: str | None, size: int | None, floats: str | None) -> Wanted:
    """What the options of a command say; None where one is not given.

    Args:
        channels: "grey" or "rgb".
        size: pixels a side.
        floats: what they span, "0,1" or "-1,1".

    Raises:
        WantedError: another word.
    """
    if channels is not None and channels not in CHANNELS:
        raise WantedError(f"--channels is '{channels}'; allowed: {', '.join(CHANNELS)}")
    spanned = None if floats is None else floats.replace(" ", "")
    if spanned is not None and spanned not in RANGES:
        raise WantedError(f"--range is '{floats}'; allowed: {' and '.join(RANGES)}")
    return Wanted(CHANNELS[channels] if channels else None, size, RANGES[spanned] if spanned else None)


def check_path(path: Path) -> None:
    """Refuse a path that is no folder, and no file that could hold arrays.

    Raises:
        WantedError: it does not exist, or its suffix is that of an archive or of a file that may run code.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        return
    if suffix in PICKLES:
        raise WantedError(f"{path} may run code when it is opened: save the images as .npz or .safetensors")
    if suffix in ARCHIVES:
        raise WantedError(f"{path} is an archive: unpack it and give the folder")
    if not path.exists():
        raise WantedError(f"{path} does not exist: give a folder of images, a .npz or a .safetensors file")
