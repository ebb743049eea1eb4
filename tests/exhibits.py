"""Exhibits made up for tests of the pages: pictures are noise, numbers are simple."""

from fake_cells import noise, protocol

from gm_bench.report.exhibit import Exhibit, Pair

MOMENTS = (100, 200, 300, 400)


def exhibit(
    variant: str,
    seed: int,
    fid: float | None = 10.0,
    *,
    dataset: str = "digits",
    shape: tuple[int, int, int] = (1, 8, 8),
    snapshots: bool = True,
) -> Exhibit:
    """A cell that finished with that FID, or diverged at step 7 where it is None."""
    divergence = None
    if fid is None:
        divergence = {"step": 7, "player": "critic", "term": "loss", "value": "nan"}
    return Exhibit(
        cell=(dataset, variant, seed),
        metrics={
            "status": "diverged" if divergence else "ok",
            "divergence": divergence,
            "values": {} if fid is None else {"fid": [fid - 1, fid + 1], "precision": [0.5, 0.7]},
            "details": {"missing_classes": [] if divergence else [[], ["3"]]},
            "curve": {"images": list(MOMENTS), "fid": [fid * k for k in (8, 4, 2, 1)] if fid else [9.0] * 4},
            "protocol": protocol(dataset),
            "hashes": {"training_key": "cd", "samples": "ef"},
        },
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
            for i, images in enumerate(MOMENTS)
        ],
        samples=None if fid is None else noise(seed, 64, *shape),
        snapshots=noise(seed, len(MOMENTS), 64, *shape) if snapshots else None,
        images_shown=MOMENTS if snapshots else (),
        pairs=()
        if fid is None
        else tuple(Pair(noise(i, *shape), noise(10 + i, *shape), 0.25 + i) for i in range(3)),
    )
