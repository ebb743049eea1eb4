"""Images of another program under the protocol of a dataset, or against real images of one's own."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from gm_bench import io
from gm_bench.cell import reports_of
from gm_bench.config import Params
from gm_bench.data.images import Foreign
from gm_bench.defaults import BOARD, LEADERBOARD
from gm_bench.metrics.catalogue import IMAGES
from gm_bench.metrics.extractors.features import extract
from gm_bench.reproducibility import derive
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.leaderboard_file import LeaderboardError, from_json
from gm_bench.results.protocol import same_protocol
from gm_bench.results.verdict import Finding, Row, missing_in_all, verdict
from gm_bench.tracks.generation.evaluation import (
    all_metrics,
    missing_classes,
)
from gm_bench.tracks.generation.scoring.choice import SEED
from gm_bench.tracks.generation.scoring.request import ScoringError
from gm_bench.tracks.generation.scoring.standard import Standard

SCHEMA = 1
TRACK = "generation"


@dataclass(frozen=True)
class Scored:
    """The metrics of a set of images.

    Args:
        values: metric → one value per draw.
        protocol: that of the standard, with the draws that the images sufficed for.
        missing: per draw, the classes that no image is taken for.
    """

    name: str
    standard: Standard
    values: Mapping[str, list[float]]
    protocol: Mapping[str, Any]
    missing: list[list[str]]
    n_images: int
    images_sha256: str
    conversions: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def verdict(self) -> list[Finding]:
        """What the numbers say together, in words."""
        n, draws = self.protocol["n_samples"], self.protocol["draws"]
        row = Row(
            values={name: fmean(values) for name, values in self.values.items()},
            floor=self.standard.floor,
            floor_sd=self.standard.floor_sd,
            n=n,
            missing=missing_in_all(self.missing),
            shares=self.standard.class_shares,
            n_drawn=n * draws,
        )
        return verdict(row)

    def to_json(self, difference: str | None) -> dict[str, Any]:
        """The record for machines; `difference` is why it is not comparable with the leaderboard, if so."""
        return {
            "schema": SCHEMA,
            "images": self.name,
            "reference": self.standard.name,
            "n_images": self.n_images,
            "images_sha256": self.images_sha256,
            "conversions": list(self.conversions),
            "warnings": list(self.warnings),
            "values": {name: list(values) for name, values in self.values.items()},
            "missing_classes": self.missing,
            "verdict": [{"kind": found.kind, "sentence": found.sentence} for found in self.verdict],
            "floor": dict(self.standard.floor),
            "protocol": dict(self.protocol),
            "comparable_with_leaderboard": difference is None,
            "difference": difference,
        }


def with_reference(found: Foreign, real: Foreign) -> Foreign:
    """The images, with what a reader must know of the real ones that they are held against."""
    warnings = (*found.warnings, *(f"reference: {sentence}" for sentence in real.warnings))
    return replace(found, warnings=warnings)


def score(
    found: Foreign, path: Path, standard: Standard, device: torch.device, most_draws: int | None = None
) -> Scored:
    """Every metric of the images, draw by draw.

    A plain set is dealt at random into as many draws as it suffices for, at most those of the protocol; draws
    that a file keeps apart are taken as they are where they have the protocol's size.

    Args:
        most_draws: another limit than the protocol's.

    Raises:
        ScoringError: fewer images than one draw needs.
        ValueError: a metric refuses the features.
    """
    config, n_images = standard.config, len(found.images)
    n = config.n_samples
    if n_images < n:
        raise ScoringError(
            f"{path} holds {n_images:,} images but the protocol of {standard.name} compares {n:,} with as "
            f"many real ones, since every metric depends on the number: make at least {n:,}, or "
            f"{n * config.draws:,} for all {config.draws} draws of the leaderboard"
        )
    draws = min(most_draws or config.draws, n_images // n)
    warnings = [*found.warnings, *standard.warnings]
    if found.n_draws > 1 and n_images == found.n_draws * n:
        order = torch.arange(n_images)
        if draws < found.n_draws:
            warnings.append(
                f"{draws * n:,} of {n_images:,} images were used: the first {draws} of {found.n_draws} draws"
            )
    else:
        generator = torch.Generator().manual_seed(derive(SEED, "scoring/draws"))
        order = torch.randperm(n_images, generator=generator)
        if n_images > draws * n:
            warnings.append(
                f"{draws * n:,} of {n_images:,} images were used, chosen at random: {draws} draw(s) of {n:,}"
            )
    values: dict[str, list[float]] = {}
    missing = []
    for chosen in order[: draws * n].split(n):
        images = found.images[chosen]
        seen = extract(standard.extractor, images, device)
        for name, value in all_metrics(seen, images, standard.reference, config, device).items():
            values.setdefault(name, []).append(value)
        missing.append([standard.classes[i] for i in missing_classes(seen, standard.reference)])
    return Scored(
        name=str(path),
        standard=standard,
        values=values,
        protocol={**standard.protocol, "draws": draws},
        missing=missing,
        n_images=n_images,
        images_sha256=io.sha256_tensor(found.images),
        conversions=found.conversions,
        warnings=tuple(warnings),
    )


def beside_board(
    scored: Scored, params: Params | None, board: str | None
) -> tuple[Scored, Leaderboard | None, str | None]:
    """A row and the leaderboard that it is held against; one that cannot be read is a warning of the row.

    Args:
        params: of the repository in which the row was asked for, if there is one.
        board: whose leaderboard; None for the first that has the dataset and a report.

    Returns:
        The row, the leaderboard, and why the row cannot stand in it, in a clause; None where it can.
    """
    if not scored.standard.known:
        return scored, None, "real images of one's own are the standard, which no leaderboard has"
    name = board or _first_reported(scored.standard.name, params)
    path = _report_of(name)
    if not path.exists():
        return scored, None, f"there is no {path} yet: gm-bench run --board {name} writes it"
    try:
        leaderboard = from_json(io.read_json(path), str(path), IMAGES)
    except (OSError, LeaderboardError) as error:
        warnings = (*scored.warnings, f"the leaderboard cannot be read: {error}")
        return replace(scored, warnings=warnings), None, "the leaderboard cannot be read"
    return scored, leaderboard, _difference(scored, leaderboard)


def _first_reported(dataset: str, params: Params | None) -> str:
    """The first board of a dataset that has a report, else the first that will have one."""
    boards = params.boards.items() if params else ()
    asked = [name for name, grid in boards if grid.track == TRACK and dataset in grid.datasets]
    return [*(name for name in asked if _report_of(name).exists()), *asked, BOARD][0]


def _report_of(board: str) -> Path:
    return reports_of(board) / LEADERBOARD.name


def _difference(scored: Scored, board: Leaderboard) -> str | None:
    name = scored.standard.name
    if name not in board.protocols:
        return f"the leaderboard has no {name}: it holds {', '.join(board.datasets)}"
    of_board = dict(board.protocols[name])
    difference = same_protocol(dict(scored.protocol), of_board)
    if difference and scored.protocol["draws"] != of_board["draws"]:
        n, draws = scored.protocol["n_samples"], of_board["draws"]
        return f"{difference}; {n * draws:,} images make all {draws} draws"
    return difference
