"""Results of cells made up for tests of the pages: pictures are noise, numbers are simple."""

from collections.abc import Sequence
from dataclasses import replace

from fake_cells import noise, protocol

from gm_bench.cell import Cell
from gm_bench.report.display import Samples
from gm_bench.results.schema import CellResult, Origin
from gm_bench.tracks.generation.nearest import Pair, nearest_of_cell, nearest_of_variants
from gm_bench.tracks.generation.track import TRACK

TIMES = (100, 200, 300, 400)


def cell_result(variant: str, seed: int, fid: float | None = 10.0, *, dataset: str = "digits") -> CellResult:
    """A cell that finished with that FID, or diverged at step 7 where it is None."""
    divergence = None
    if fid is None:
        divergence = {"step": 7, "player": "critic", "term": "loss", "value": "nan"}
    values = {} if fid is None else {"fid": (fid - 1, fid + 1), "precision": (0.5, 0.7)}
    curve = tuple(zip(TIMES, [fid * k for k in (8, 4, 2, 1)] if fid else [9.0] * 4, strict=True))
    return CellResult(
        cell=Cell("digits", dataset, variant, seed),
        origin=Origin("GAN", "somebody, some year"),
        status="diverged" if divergence else "ok",
        divergence=divergence,
        protocol=protocol(dataset),
        values=values,
        curves={"fid": curve},
        details={"missing_classes": [] if divergence else [[], ["3"]]},
        device="cpu",
        hashes={"training_key": "cd", "samples": "ef"},
        cost={
            "seconds": 10.0 + seed,
            "images": 400,
            "budget": 400,
            "images_per_second": 40.0,
            "rounds": 25,
            "updates": {"critic": 50, "generator": 10},
            "parameters": {"critic": 100, "generator": 120},
            "flops": 1e12,
            "peak_memory_bytes": 2**20,
            "device": "cpu",
            "training_key": "cd",
            "versions": {"torch": "2.15.0"},
            "recipe": {"batch_size": 16, "ema": None, "optimisers": {"critic": {"betas": [0.5, 0.9]}}},
        },
        history=[
            {"images": str(images), "critic/loss": str(i + seed), "generator/loss": "", "critic/score": "1"}
            for i, images in enumerate(TIMES)
        ],
    )


def samples_of(
    result: CellResult, shape: tuple[int, int, int] = (1, 8, 8), snapshots: bool = True
) -> Samples:
    """64 samples of a cell that finished, and 64 at each of four times."""
    return Samples(
        noise(result.seed, 64, *shape) if result.values else None,
        noise(result.seed, len(TIMES), 64, *shape) if snapshots else None,
        TIMES if snapshots else (),
    )


def pairs_of(result: CellResult, shape: tuple[int, int, int] = (1, 8, 8)) -> list[Pair]:
    """Three pairs of a cell that finished."""
    n = 3 if result.values else 0
    return [Pair(noise(i, *shape), noise(10 + i, *shape), 0.25 + i) for i in range(n)]


def _galleries(results: Sequence[CellResult], n_bytes: int) -> list:
    return nearest_of_variants([(result, pairs_of(result)) for result in results], n_bytes)


# The main track with pictures that are in no file.
DISPLAY = replace(
    TRACK, galleries=_galleries, cell_galleries=lambda result: nearest_of_cell(result, pairs_of(result))
)
