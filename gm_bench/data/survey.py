"""What image files say besides their pixels, counted while they are read."""

from pathlib import Path

from gm_bench.data.listing import writable
from gm_bench.data.pixels import Picture


class Survey:
    """Counts over the files of a set; `deep` says of each whether it has 16 bits a channel."""

    def __init__(self) -> None:
        self.deep: list[bool] = []
        self._n_transparent = 0
        self._unread_exif: list[str] = []

    def add(self, picture: Picture, file: Path) -> None:
        """Count a decoded file, named relative to its folder."""
        self.deep.append(picture.deep)
        self._n_transparent += picture.transparent
        if picture.unread_exif:
            self._unread_exif.append(file.as_posix())

    def notes(self) -> list[str]:
        """What a reader of the numbers must know."""
        notes = []
        n = len(self.deep)
        if self._n_transparent:
            notes.append(
                f"{self._n_transparent:,} of {n:,} images have transparent parts, which are laid on white"
            )
        if self._unread_exif:
            notes.append(
                f"{len(self._unread_exif):,} of {n:,} images have EXIF data that cannot be read "
                f"({writable(self._unread_exif[0])} first), so they may not be upright"
            )
        return notes
