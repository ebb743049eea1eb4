"""What `gm-bench evaluate` does: read, score, set beside the leaderboard, print."""

import sys
from pathlib import Path

from gm_bench import io
from gm_bench.config import Params, load_params
from gm_bench.data.images import Foreign, check_range_is_of_use, check_shape, read_images
from gm_bench.nets.lenet import shape_of
from gm_bench.reproducibility import make_deterministic, resolve
from gm_bench.running.stage import screen
from gm_bench.tracks.generation.scoring.choice import kept_extractors
from gm_bench.tracks.generation.scoring.portable import export, load
from gm_bench.tracks.generation.scoring.request import (
    SUFFIX,
    Request,
    ScoringError,
    is_dataset,
    is_reference,
)
from gm_bench.tracks.generation.scoring.score import beside_board, score, with_reference
from gm_bench.tracks.generation.scoring.standard import STANDARD, known_standard, own_standard
from gm_bench.tracks.generation.scoring.table import other_metrics, score_table


def main(request: Request, params: Params | None, found: Foreign) -> None:
    """Print the row of the images, and write it as JSON where a file is named.

    Args:
        request: as `request.judge` let it pass.
        params: of the repository that the command runs in, if it is one.
        found: the images.

    Raises:
        ValueError: the images and the reference do not go together; the sentence says what to do.
    """
    place = resolve(request.device)
    make_deterministic()
    images = request.images
    if params is not None and is_dataset(request.reference, params):
        check_range_is_of_use(request.wanted, {str(images): found})
        standard = known_standard(request.reference, params)
        check_shape(found, standard.extractor.image_shape, images, request.reference)
    elif is_reference(request.reference_path):
        check_range_is_of_use(request.wanted, {str(images): found})
        standard = load(request.reference_path)
        check_shape(found, standard.extractor.image_shape, images, request.reference)
    else:
        real = read_images(
            request.reference_path,
            request.wanted,
            request.reference_key,
            request.allow_low_range,
            named_by="--reference",
        )
        check_range_is_of_use(request.wanted, {str(images): found, request.reference: real})
        check_shape(found, shape_of(real.images), images, request.reference)
        standard = own_standard(
            real,
            Path(request.reference),
            len(found.images),
            request.extractor,
            STANDARD,
            place,
            say=lambda sentence: print(sentence, file=sys.stderr),  # noqa: T201
            kept=kept_extractors(),
            n=request.n,
        )
        found = with_reference(found, real)
    scored = score(found, images, standard, place, request.draws)

    scored, board, difference = beside_board(scored, params, request.board)
    if request.json_file is not None:  # written before it is shown: a terminal may go away
        io.write_json(request.json_file, scored.to_json(difference))
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


def export_reference(dataset: str, path: Path) -> None:
    """Write the reference of a dataset of params.yaml as one file.

    Raises:
        ValueError: there is no such dataset, its reference was not made yet, or `path` is no name for one or
            holds something else.
    """
    if path.suffix != SUFFIX:
        raise ScoringError(f"{path} is no name for a reference: let it end with {SUFFIX}")
    if path.exists() and not is_reference(path):
        raise ScoringError(f"--out names {path}, which is no reference and would be lost: name another")
    standard = known_standard(dataset, load_params())
    export(standard, path)
    size = path.stat().st_size / 2**20
    said = f"N = {standard.config.n_samples:,}, features of {standard.protocol['extractor']['name']}"
    screen().print(f"wrote {path} ({size:.1f} MiB): {dataset}, {said}", soft_wrap=True)
