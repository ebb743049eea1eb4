"""A page for one cell: what it scored, what it was trained with, how to make it again, how it failed."""

import shlex
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gm_bench.report import pictures
from gm_bench.report.charts import losses_of_cell
from gm_bench.report.exhibit import Exhibit, Json, page_name
from gm_bench.report.figures import image_grid
from gm_bench.report.pictures import Picture, data_uri
from gm_bench.report.tables import NOT_AVAILABLE, duration, number, title
from gm_bench.report.template import templates
from gm_bench.results.leaderboard import COLUMNS, Cell
from gm_bench.tracking.record import divergence_place

COLUMNS_OF_GRID = 8
ENOUGH = 10_000_000  # bytes: pictures of a cell's page are exact
STAGES = ("train", "sample", "evaluate")


def render(
    exhibit: Exhibit,
    *,
    family: str,
    source: str,
    floor: Mapping[str, float],
    floor_sd: Mapping[str, float],
    siblings: Sequence[Cell],
) -> str:
    """The page as HTML; the same cell always gives the same page.

    Args:
        exhibit: the cell.
        family, source: what the variant says it is, and where it was published.
        floor, floor_sd: the floor of the cell's dataset and its standard deviation.
        siblings: cells of the same dataset and variant, this one among them.
    """
    dataset, variant, seed = exhibit.cell
    values = exhibit.metrics["values"]
    name = f"{dataset} / {variant} / seed {seed}"
    n_draws = max(map(len, values.values()), default=0)
    return (
        templates()
        .get_template("cell.html")
        .render(
            name=name,
            dataset=dataset,
            family=family,
            source=source,
            siblings=[
                (f"seed {cell[2]}", None if cell == exhibit.cell else page_name(cell)) for cell in siblings
            ],
            failures=failures(exhibit),
            n_samples=f"{exhibit.metrics['protocol']['n_samples']:,}",
            n_draws=n_draws,
            scores=[
                _score(metric, values[metric], n_draws, floor.get(metric), floor_sd.get(metric))
                for metric in _ordered(values)
            ],
            samples=_samples(exhibit),
            pairs=_pairs(exhibit),
            chart=losses_of_cell(exhibit),
            commands=commands(exhibit.cell),
            lists=[
                ("Cost", _cost(exhibit.cost)),
                (
                    "Parameters",
                    [("budget", f"{exhibit.cost['budget']:,} real images"), *_flat(exhibit.cost["recipe"])],
                ),
                ("Protocol", [*_flat(exhibit.metrics["protocol"]), *_density(exhibit)]),
                ("Origin", _origin(exhibit)),
            ],
        )
    )


def commands(cell: Cell) -> list[tuple[str, str]]:
    """What makes a cell again, in words and as a command, to be run from the top of the repository."""
    name, arguments = shlex.quote("-".join(map(str, cell))), shlex.join(map(str, cell))
    again = " ".join(f"{stage}@{name}" for stage in STAGES)
    return [
        ("up to date, with all it depends on", f"dvc repro evaluate@{name}"),
        ("from scratch", f"dvc repro --single-item --force {again}"),
        *((f"{stage} alone, without DVC", f"python -m pipelines.{stage} {arguments}") for stage in STAGES),
        ("all that is known of it", f"gm-bench show {arguments}"),
    ]


def failures(exhibit: Exhibit) -> list[str]:
    """What went wrong in one sentence each: divergence, and classes that no sample is taken for."""
    said = []
    where = exhibit.metrics["divergence"]
    if where:
        shown, budget = exhibit.cost["images"], exhibit.cost["budget"]
        said.append(
            f"Training diverged at {divergence_place(where)}: the value was {where['value']}. "
            f"It had been shown {shown:,} of {budget:,} images; there are no metrics."
        )
    for i, names in enumerate((exhibit.metrics.get("details") or {}).get("missing_classes", ())):
        if names:
            said.append(f"No sample of draw {i} is taken for class {', '.join(map(str, names))}.")
    return said


def _score(
    metric: str, draws: Sequence[float], n_draws: int, floor: float | None, floor_sd: float | None
) -> dict[str, Any]:
    """A line of the table; a metric that knows no draws leaves their places empty."""
    spread = "" if floor_sd is None else f" ± {floor_sd:.2g}"
    return {
        "title": title(metric),
        "mean": f"{statistics.fmean(draws):.4g}",
        "draws": [f"{value:.4g}" for value in draws] if len(draws) == n_draws else [""] * n_draws,
        "floor": NOT_AVAILABLE if floor is None else f"{floor:.4g}{spread}",
    }


def _ordered(values: Mapping[str, Any]) -> list[str]:
    return [name for name in COLUMNS if name in values] + sorted(set(values) - set(COLUMNS))


def _samples(exhibit: Exhibit) -> dict[str, str] | None:
    if exhibit.samples is None:
        return None
    scale = max(1, pictures.SIDE // exhibit.samples.shape[-1])
    grid = image_grid(exhibit.samples, COLUMNS_OF_GRID, scale)
    picture = Picture(pictures.webp_bytes(grid), grid.shape[1], grid.shape[0], exact=True)
    return {"source": data_uri(picture), "text": f"{len(exhibit.samples)} samples of {_named(exhibit)}"}


def _pairs(exhibit: Exhibit) -> dict[str, str] | None:
    if not exhibit.pairs:
        return None
    return {
        "source": data_uri(pictures.pairs_picture(exhibit.pairs, ENOUGH)),
        "text": f"the {len(exhibit.pairs)} samples of {_named(exhibit)} that are nearest to a training "
        "image, above those images",
        "ratios": ", ".join(f"{pair.distance_ratio:.2f}" for pair in exhibit.pairs),
    }


def _density(exhibit: Exhibit) -> list[tuple[str, str]]:
    kind = exhibit.metrics.get("density")
    return [("likelihood", kind)] if kind else []


def _named(exhibit: Exhibit) -> str:
    dataset, variant, seed = exhibit.cell
    return f"{variant} on {dataset}, seed {seed}"


def _cost(cost: Json) -> list[tuple[str, str]]:
    facts = [
        ("time", duration(cost["seconds"])),
        ("images", f"{cost['images']:,} of {cost['budget']:,}"),
        ("images per second", number(cost["images_per_second"], 0)),
        ("rounds", number(cost["rounds"], 0)),
    ]
    for name in ("updates", "parameters"):
        facts.append((name, ", ".join(f"{player} {number(n, 0)}" for player, n in cost[name].items())))
    if cost.get("flops") is not None:
        facts.append(("floating-point operations", f"{cost['flops']:.3g}"))
    if cost.get("peak_memory_bytes") is not None:
        facts.append(("peak memory", f"{number(cost['peak_memory_bytes'] / 2**20, 0)} MiB"))
    return [*facts, ("device", cost["device"])]


def _origin(exhibit: Exhibit) -> list[tuple[str, str]]:
    hashes = [
        (f"sha256 of the {name}", value)
        for name, value in exhibit.metrics["hashes"].items()
        if name == "samples"
    ]
    return [
        ("folder", "/".join(("runs", *map(str, exhibit.cell)))),
        ("training key", exhibit.cost["training_key"]),
        *hashes,
        *((f"{name} in training", version) for name, version in exhibit.cost["versions"].items()),
    ]


def _flat(tree: Json, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Leaves of a tree of mappings, their keys joined by dots."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
