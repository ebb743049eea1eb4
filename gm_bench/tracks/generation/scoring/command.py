"""What `gm-bench evaluate` does: read, score, set beside the leaderboard, print."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gm_bench import io
from gm_bench.cell import RUNS, reports_of
from gm_bench.config import PARAMS_FILE, Params, load_params
from gm_bench.data.images import CHANNELS, Wanted, bounds_of, check_shape, read_images
from gm_bench.data.ownership import OWNED
from gm_bench.metrics.catalogue import IMAGES
from gm_bench.nets.lenet import shape_of
from gm_bench.reproducibility import make_deterministic, resolve
from gm_bench.results.leaderboard_file import from_json
from gm_bench.running.stage import screen
from gm_bench.tracks.generation.scoring.choice import ScoringError, kept_extractors
from gm_bench.tracks.generation.scoring.portable import export, is_reference, load
from gm_bench.tracks.generation.scoring.score import difference_to_board, score
from gm_bench.tracks.generation.scoring.standard import STANDARD, known_standard, own_standard
from gm_bench.tracks.generation.scoring.table import other_metrics, score_table

LEADERBOARD = reports_of("digits") / "leaderboard.json"
# Samples of a cell may be judged where they lie: in runs DVC deletes only files that stages wrote.
NOT_JUDGED = tuple(folder for folder in OWNED if folder != RUNS)


def main(
    images: Path,
    reference: str,
    *,
    channels: str | None,
    resize: int | None,
    key: str | None,
    reference_key: str | None,
    extractor: str,
    allow_low_range: bool,
    floats: str | None,
    n: int | None,
    draws: int | None,
    json_file: Path | None,
    device: str,
) -> None:
    """Print the row of `images`, and write it as JSON where a file is named.

    Args:
        images: what is judged.
        reference: a dataset of params.yaml, a file of `portable.export`, or a path of real images. Only the
            first needs a repository.
        channels: "grey" or "rgb": convert images (and a reference path) to that.
        resize: pixels a side to resize them to.
        extractor: for real images only, as `scoring.own_standard` takes it.
        floats: what floats span, "0,1" or "-1,1"; None where there are none.
        n: for real images only, how many to compare; None for all.
        draws: at most so many sets of n; None for all that there are, or those of the protocol.

    Raises:
        ValueError: the images, the reference or the options do not go together; the sentence says what to do.
    """
    if channels is not None and channels not in CHANNELS:
        raise ScoringError(f"--channels is '{channels}'; allowed: {', '.join(CHANNELS)}")
    params, place = load_params() if PARAMS_FILE.exists() else None, resolve(device)
    make_deterministic()
    wanted = Wanted(CHANNELS[channels] if channels else None, resize, bounds_of(floats))
    if json_file is not None:
        _refuse_overwriting(json_file, (images, Path(reference)))
    known = params is not None and reference in params.datasets
    if not known and not Path(reference).expanduser().exists():
        raise ScoringError(_no_reference(reference, params))
    found = read_images(
        images,
        wanted,
        key,
        allow_low_range,
        labelled=False,
        named_by="the path of the images",
        owned=NOT_JUDGED,
    )
    if known or is_reference(Path(reference)):
        if extractor != "auto" or reference_key is not None or n is not None:
            raise ScoringError(
                f"--extractor, --reference-key and --n are for a path of real images; {reference} has its own"
            )
        standard = known_standard(reference, params, place) if params and known else load(Path(reference))
        check_shape(found, standard.extractor.image_shape, images, reference)
    else:
        path = Path(reference).expanduser()
        real = read_images(path, wanted, reference_key, allow_low_range, named_by="--reference")
        check_shape(found, shape_of(real.images), images, reference)
        standard = own_standard(
            real,
            Path(reference),
            len(found.images),
            extractor,
            STANDARD,
            place,
            say=lambda sentence: print(sentence, file=sys.stderr),  # noqa: T201
            kept=kept_extractors(),
            n=n,
        )
        found = replace(
            found, warnings=(*found.warnings, *(f"reference: {sentence}" for sentence in real.warnings))
        )
    scored = score(found, images, standard, place, draws)

    board = None
    if LEADERBOARD.exists():
        board = from_json(io.read_json(LEADERBOARD), str(LEADERBOARD), IMAGES)
    difference = difference_to_board(scored, board)
    if json_file is not None:  # written before it is shown: a terminal may go away
        io.write_json(json_file, scored.to_json(difference))
    console = screen()
    console.print(score_table(scored, None if difference else board))
    console.print(other_metrics(scored))
    for finding in scored.verdict:
        console.print(finding.sentence, soft_wrap=True)
    console.print()
    for sentence in scored.conversions:
        console.print(f"converted: {sentence}", soft_wrap=True)
    for sentence in scored.warnings:
        console.print(f"warning: {sentence}", soft_wrap=True)
    if difference:
        console.print(f"not beside the leaderboard: {difference}", soft_wrap=True)


def _refuse_overwriting(json_file: Path, sources: Sequence[Path]) -> None:
    for source in sources:
        if source.exists() and json_file.expanduser().resolve() == source.expanduser().resolve():
            raise ScoringError(f"--json names {json_file}, which is read and would be lost: name another")


def _no_reference(reference: str, params: Params | None) -> str:
    if params is not None:
        known = ", ".join(params.datasets)
        return f"--reference is '{reference}', which is neither a path nor one of {known}"
    return (
        f"--reference is '{reference}', and there is no such path here; datasets have names only in the top "
        f"folder of a clone of gm-bench: run it there, or give the file that `gm-bench reference export "
        f"{reference}` writes there"
    )


def export_reference(dataset: str, path: Path, device: str) -> None:
    """Write the reference of a dataset of params.yaml as one file.

    Raises:
        ValueError: there is no such dataset, or its reference was not made yet.
    """
    standard = known_standard(dataset, load_params(), resolve(device))
    export(standard, path)
    size = path.stat().st_size / 2**20
    said = f"N = {standard.config.n_samples:,}, features of {standard.protocol['extractor']['name']}"
    screen().print(f"wrote {path} ({size:.1f} MiB): {dataset}, {said}", soft_wrap=True)
