"""`gm_bench.evaluate`: the numbers of `gm-bench evaluate` from Python, on images in memory or in files."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gm_bench.config import PARAMS_FILE, load_params
from gm_bench.data.fingerprint import place_of
from gm_bench.data.images import (
    Foreign,
    check_range_is_of_use,
    check_shape,
    from_memory,
    read_images,
)
from gm_bench.data.wanted import Wanted, in_words
from gm_bench.nets.lenet import shape_of
from gm_bench.reproducibility import deterministic, resolve
from gm_bench.tracks.generation.scoring.choice import kept_extractors
from gm_bench.tracks.generation.scoring.portable import load
from gm_bench.tracks.generation.scoring.request import (
    AUTO,
    ScoringError,
    check_board,
    is_dataset,
    is_reference,
    refuse_unknown_extractor,
)
from gm_bench.tracks.generation.scoring.score import beside_board, score, with_reference
from gm_bench.tracks.generation.scoring.standard import (
    STANDARD,
    known_standard,
    own_standard,
)

Images = str | os.PathLike[str] | NDArray[Any] | Tensor
FAKE, REAL = "fake", "real"
# An option of the command as a word of a sentence: what looks like one in a path stays.
OPTION = re.compile(
    r"(?<!\S)--(allow-low-range|board|channels|draws|extractor|key|n|range|resize)(?![^\s:,;])"
)


def evaluate(
    fake: Images,
    real: Images,
    *,
    labels: NDArray[Any] | Tensor | None,
    extractor: str,
    channels: str | None,
    resize: int | None,
    allow_low_range: bool,
    floats: str | Sequence[float] | None,
    n: int | None,
    draws: int | None,
    board: str | None,
    device: str,
) -> dict[str, Any]:
    """The row of `fake` against `real`; see `gm_bench.evaluate`."""
    place = resolve(str(device))
    with _in_words_of_python(), deterministic():
        _check_kind(fake, FAKE)
        _check_kind(real, REAL)
        n, draws = _count(n, "n", 2), _count(draws, "draws", 1)
        wanted = in_words(channels, _count(resize, "resize", 1), _spanned(floats))
        found = _read(fake, None, FAKE, wanted, allow_low_range)
        file = place_of("" if isinstance(real, np.ndarray | Tensor) else str(real))
        portable = is_reference(file)
        named = portable or isinstance(real, str)
        params = load_params() if named and PARAMS_FILE.exists() else None
        known = portable or (isinstance(real, str) and is_dataset(real, params))
        check_board(board, params, known)
        if known:
            if n is not None:
                raise ScoringError(f"--n is for real images; {real} has its own")
            if extractor != AUTO or labels is not None:
                raise ScoringError(f"extractor and labels are for real images; {real} has its own")
            check_range_is_of_use(wanted, {str(_name(fake, FAKE)): found})
            standard = load(file) if portable or params is None else known_standard(str(real), params)
            check_shape(found, standard.extractor.image_shape, _name(fake, FAKE), str(real))
        else:
            refuse_unknown_extractor(extractor)
            reference = _read(real, labels, REAL, wanted, allow_low_range)
            sets = {str(_name(fake, FAKE)): found, str(_name(real, REAL)): reference}
            check_range_is_of_use(wanted, sets)
            check_shape(found, shape_of(reference.images), _name(fake, FAKE), str(_name(real, REAL)))
            standard = own_standard(
                reference,
                _name(real, REAL),
                len(found.images),
                extractor,
                STANDARD,
                place,
                say=lambda sentence: None,
                kept=kept_extractors(),
                n=n,
            )
            found = with_reference(found, reference)
        scored = score(found, _name(fake, FAKE), standard, place, draws)
        scored, _, difference = beside_board(scored, params, board)
        return scored.to_json(difference)


def _check_kind(images: object, name: str) -> None:
    if not isinstance(images, np.ndarray | Tensor | str | os.PathLike):
        raise ScoringError(f"{name} is a {type(images).__name__}: give an array, a tensor or a path")


def _count(given: object, name: str, least: int) -> int | None:
    """A whole number, NumPy's too, as Python's; None as it is."""
    if given is None:
        return None
    if not isinstance(given, Integral) or isinstance(given, bool) or given < least:
        raise ScoringError(f"{name} is {given!r}: give a whole number from {least} up, or leave it out")
    return int(given)


def _spanned(given: str | Sequence[float] | None) -> str | None:
    """What floats span, as the command is given it; what is no two numbers is left for it to refuse."""
    if given is None or isinstance(given, str):
        return given
    try:
        return ",".join(f"{bound:g}" for bound in given)
    except (TypeError, ValueError):
        return str(given)


def _read(
    images: Images, labels: NDArray[Any] | Tensor | None, name: str, wanted: Wanted, allow_low_range: bool
) -> Foreign:
    if isinstance(images, np.ndarray | Tensor):
        return from_memory(images, labels, name, wanted, allow_low_range)
    if labels is not None:
        raise ScoringError(
            "labels are for real images in memory: a folder has one sub-folder for each class, "
            "a file an array labels"
        )
    return read_images(Path(images), wanted, allow_low_range=allow_low_range)


def _name(images: Images, name: str) -> Path:
    """The path of images, or what messages call those in memory."""
    return Path(name) if isinstance(images, np.ndarray | Tensor) else Path(images)


@contextmanager
def _in_words_of_python() -> Iterator[None]:
    """Sentences that name an option of the command name the argument: --allow-low-range, allow_low_range."""
    try:
        yield
    except ValueError as error:
        raise ScoringError(OPTION.sub(lambda found: found[1].replace("-", "_"), str(error))) from error
