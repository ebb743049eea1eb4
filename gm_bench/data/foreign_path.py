"""What can be said of a path to somebody's images before anything that takes long is imported."""

from pathlib import Path

PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


class PathError(ValueError):
    """Nothing is there, or nothing that is opened; the message says what to give."""


def check_path(path: Path) -> None:
    """Refuse a path that is no folder, and no file that could hold arrays.

    Raises:
        PathError: it does not exist, or its suffix is that of an archive or of a file that may run code.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        return
    if suffix in PICKLES:
        raise PathError(f"{path} may run code when it is opened: save the images as .npz or .safetensors")
    if suffix in ARCHIVES:
        raise PathError(f"{path} is an archive: unpack it and give the folder")
    if not path.exists():
        raise PathError(f"{path} does not exist: give a folder of images, a .npz or a .safetensors file")
