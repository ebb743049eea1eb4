"""What `gm-bench evaluate` is asked, and refused where it cannot be, before anything slow is imported."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from gm_bench.cell import EXTRACTORS, RUNS
from gm_bench.config import PARAMS_FILE, Params, load_params
from gm_bench.data.fingerprint import SUFFIXES, place_of
from gm_bench.data.wanted import Wanted, check_path, in_words
from gm_bench.metrics import extractors
from gm_bench.tracks.settings import pinned_weights

if TYPE_CHECKING:
    from gm_bench.data.images import Foreign

AUTO = "auto"
KIND, SUFFIX = "gm-bench reference", ".safetensors"  # of a reference that travels: `portable`


class ScoringError(ValueError):
    """Images that cannot be scored as asked; the message says what to do."""


@dataclass(frozen=True)
class Request:
    """The arguments of the command, as they were typed.

    Args:
        images: what is judged.
        reference: a dataset of params.yaml, a file of `portable.export`, or a path of real images. Only the
            first needs a repository.
        channels: "grey" or "rgb": convert images (and a reference path) to that.
        resize: pixels a side to resize them to.
        key: which array of a file holds the images.
        reference_key: the same for a reference path.
        extractor: for real images only, as `standard.own_standard` takes it.
        allow_low_range: take images of hardly any contrast as they are.
        floats: what floats span, "0,1" or "-1,1"; None where there are none.
        board: whose leaderboard the row is held against; None for the first of the dataset with a report.
        n: for real images only, how many to compare; None for all.
        draws: at most so many sets of n; None for all that there are, or those of the protocol.
        json_file: also write the row there.
        device: auto, cpu or cuda.
    """

    images: Path
    reference: str
    channels: str | None
    resize: int | None
    key: str | None
    reference_key: str | None
    extractor: str
    allow_low_range: bool
    floats: str | None
    board: str | None
    n: int | None
    draws: int | None
    json_file: Path | None
    device: str

    @property
    def wanted(self) -> Wanted:
        return in_words(self.channels, self.resize, self.floats)

    @property
    def images_path(self) -> Path:
        return place_of(str(self.images))

    @property
    def reference_path(self) -> Path:
        return place_of(self.reference)


def judge(request: Request) -> Params | None:
    """Params of the repository in which the request is made, if there is one.

    Raises:
        ValueError: nothing lies at a path, options do not go together, or a word is not known.
    """
    check_path(request.images_path)
    if os.sep in request.reference:
        check_path(request.reference_path)
    _ = request.wanted  # raises where a word is not known
    if request.json_file is not None:
        _refuse_no_file(request.json_file)
        _refuse_overwriting(request.json_file, (request.images_path, request.reference_path))
    params = load_params() if PARAMS_FILE.exists() else None
    known = is_dataset(request.reference, params) or is_reference(request.reference_path)
    check_board(request.board, params, known)
    if known:
        _refuse_options_of_real_images(request)
    elif not request.reference_path.exists():
        raise ScoringError(_no_reference(request.reference, params))
    else:
        refuse_unknown_extractor(request.extractor)
    return params


def read(request: Request) -> "Foreign":
    """The images that are to be judged.

    Raises:
        DataError: they cannot be taken for what they are; the sentence says what to do.
    """
    from gm_bench.data.images import read_images
    from gm_bench.data.ownership import OWNED

    return read_images(
        request.images,
        request.wanted,
        request.key,
        request.allow_low_range,
        labelled=False,
        named_by="the path of the images",
        # Samples of a cell may be judged where they lie: in runs DVC deletes only files that stages wrote.
        owned=tuple(folder for folder in OWNED if folder != RUNS),
    )


def is_dataset(reference: str, params: Params | None) -> bool:
    """Whether it is one of params.yaml."""
    return params is not None and reference in params.datasets


def is_reference(path: Path) -> bool:
    """Whether a file is one that `portable.export` wrote."""
    if path.suffix != SUFFIX or not path.is_file():
        return False
    try:
        with safe_open(path, framework="numpy") as file:
            return KIND in str(file.metadata())
    except (OSError, SafetensorError):
        return False


def check_board(board: str | None, params: Params | None, known: bool) -> None:
    """Refuse a board whose leaderboard a row cannot be held against.

    Args:
        params: of the repository, if there is one.
        known: whether the reference is that of a dataset.

    Raises:
        ScoringError: real images of one's own are the reference.
        ConfigError: there is no such board.
    """
    if board is not None and not known:
        raise ScoringError(
            "--board is for a dataset or an exported reference: no leaderboard has real images of one's own, "
            "so leave it out"
        )
    if board is not None and params is not None:
        params.board(board)


def refuse_unknown_extractor(name: str) -> None:
    """For real images: a published one, "auto", or the one of a dataset.

    Raises:
        ScoringError: none is called so; the sentence lists those there are.
    """
    there = sorted(found.parent.name for found in EXTRACTORS.glob("*/extractor.json"))
    published, pinned = (AUTO, *extractors.names()), sorted(pinned_weights())
    if name not in (*published, *pinned, *there):
        raise ScoringError(
            f"there is no extractor '{name}'; choose {', '.join(published)}, one that is in "
            f"{EXTRACTORS} ({', '.join(there) or 'none yet'}) or a pinned one: {', '.join(pinned)}"
        )


def _refuse_options_of_real_images(request: Request) -> None:
    if request.extractor != AUTO or request.reference_key is not None or request.n is not None:
        raise ScoringError(
            "--extractor, --reference-key and --n are for a path of real images; "
            f"{request.reference} has its own"
        )


def _refuse_overwriting(json_file: Path, sources: tuple[Path, ...]) -> None:
    named, is_image = json_file.resolve(), json_file.suffix.lower() in SUFFIXES
    for source in sources:
        read = [named, *named.parents] if is_image else [named]  # a folder's images are read with it
        if json_file.exists() and source.exists() and source.resolve() in read:
            raise ScoringError(f"--json names {json_file}, which is read and would be lost: name another")


def _refuse_no_file(json_file: Path) -> None:
    """Before the work, whose result would be lost."""
    if json_file.is_dir():
        raise ScoringError(f"--json names {json_file}, which is a folder: name a file in it")
    above = next(folder for folder in json_file.parents if folder.exists())  # what is missing is made
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise ScoringError(f"--json names {json_file}, but nothing can be written in {above}: name another")


def _no_reference(reference: str, params: Params | None) -> str:
    if params is not None:
        known = ", ".join(params.datasets)
        return f"--reference is '{reference}', which is neither a path nor one of {known}"
    return (
        f"--reference is '{reference}', and there is no such path here; datasets have names only in the top "
        f"folder of a clone of gm-bench: run it there, or give the file that `gm-bench reference export "
        f"{reference}` writes there"
    )
