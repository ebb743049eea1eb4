"""The track: modes found, share of good samples, reverse KL, beside what was published."""

from collections.abc import Sequence

from matplotlib.collections import PatchCollection
from matplotlib.patches import Circle

from gm_bench import io
from gm_bench.metrics.catalogue import MAIN, NON_NEGATIVE, SHARE, Catalogue, Metric
from gm_bench.report.charts import Chart, csv_of, ranking
from gm_bench.report.charts import Panel as Picture
from gm_bench.report.display import Comparison, Json, Samples
from gm_bench.report.drawing import FAMILY_INKS, SOFT, WIDTH, small_multiples, to_svg
from gm_bench.report.pictures import Gallery
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.schema import OK, CellResult
from gm_bench.tracks.mode_collapse import published
from gm_bench.tracks.mode_collapse.mixtures import N_SD, mixture
from gm_bench.tracks.mode_collapse.settings import MixtureSettings
from gm_bench.tracks.mode_collapse.stacked import pages as stacked
from gm_bench.tracks.track import Track

N_COLUMNS = 3  # of pictures of the plane
CATALOGUE = Catalogue(
    [
        Metric(
            "reverse_kl",
            "Reverse KL",
            "nats",
            "↓",
            MAIN,
            0.05,
            False,
            "KL divergence of the modes of samples from those of the data; log of their number at one mode.",
            NON_NEGATIVE,
        ),
        Metric(
            "modes",
            "Modes",
            "",
            "↑",
            MAIN,
            None,
            False,
            "Modes with a sample: within three standard deviations, or taken for it by a classifier.",
            NON_NEGATIVE,
        ),
        Metric(
            "high_quality",
            "High quality",
            "",
            "↑",
            MAIN,
            0.02,
            False,
            "Share of samples within three standard deviations of a mode; of stacked digits, share in which "
            "a classifier is sure of all three.",
            SHARE,
        ),
    ],
    order_by="reverse_kl",
)


def _protocol(board: Leaderboard, dataset: str) -> list[str]:
    told = board.protocols[dataset]
    if stacked.STACKED in told:
        return stacked.protocol_in_words(told)
    of = told["mixture"]
    return [
        f"Samples: {told['n_samples']:,} points of each cell; {of['n_points']:,} real ones for training.",
        "Reverse KL: of the points of high quality, as it is published, so read it with their share: it says "
        "nothing of points that lie on no mode.",
        f"Mixture: {of['n_modes']} Gaussians of sd {of['sd']:g} on a {of['layout']} of {of['size']:g} "
        "(Lin et al. 2018).",
    ]


def _beside(board: Leaderboard, dataset: str) -> Comparison | None:
    """What was published of the variants of the table."""
    of_stacks = stacked.STACKED in board.protocols[dataset]
    return published.beside(
        board, dataset, published.STACKS if of_stacks else published.POINTS.get(dataset, ())
    )


def _charts(board: Leaderboard, dataset: str, results: Sequence[CellResult]) -> list[Chart]:
    charts = [ranking(board, dataset), _samples(board, dataset, results)]
    return [chart for chart in charts if chart]


def _samples(board: Leaderboard, dataset: str, results: Sequence[CellResult]) -> Chart | None:
    """Samples of each variant's first seed in the plane, in circles of the radius of high quality."""
    first = {result.variant: result for result in reversed(results) if result.details.get("points")}
    shown = [first[entry.variant] for entry in board.entries[dataset] if entry.variant in first]
    if not shown:
        return None
    told = board.protocols[dataset]["mixture"]
    of, n_rows = mixture(MixtureSettings(**told)), -(-len(shown) // N_COLUMNS)
    figure, panels = small_multiples(len(shown), N_COLUMNS, WIDTH, n_rows * WIDTH / N_COLUMNS)
    end = told["size"] * 1.25
    for axes, result in zip(panels, shown, strict=True):
        centres = [Circle((x, y), N_SD * of.sd) for x, y in of.centres.tolist()]
        axes.add_collection(PatchCollection(centres, facecolor="none", edgecolor=SOFT, linewidth=0.5))
        xs, ys = zip(*result.details["points"], strict=True)
        axes.plot(xs, ys, ".", color=FAMILY_INKS[0], alpha=0.5, markersize=1.5, markeredgewidth=0)
        axes.set(
            xlim=(-end, end), ylim=(-end, end), aspect="equal", xticks=[], yticks=[], title=result.variant
        )
    lines = [(result.variant, result.seed, *point) for result in shown for point in result.details["points"]]
    return Chart(
        f"{dataset}-samples",
        "Samples",
        f"{len(shown[0].details['points'])} samples of the first seed of each variant, unselected; circles: "
        "three standard deviations around each mode.",
        f"Samples of {', '.join(result.variant for result in shown)} on {dataset} in the plane.",
        (Picture("", to_svg(figure, f"{dataset}-samples")),),
        csv_of(("variant", "seed", "x", "y"), lines),
    )


def _galleries(results: Sequence[CellResult], n_bytes: int) -> list[Gallery]:
    """Real stacks of digits; points are seen before the centres of their mixture."""
    of_stacks = results and stacked.STACKED in results[0].protocol
    return [stacked.real(results[0].dataset, n_bytes)] if of_stacks else []


def _pictures(result: CellResult) -> Samples:
    """What was drawn at several times of the training, the last time by the finished model.

    Of points, pictures of the plane, as course.py leaves them; of stacked digits, the images.

    Raises:
        FileError: the file is missing or damaged.
    """
    tensors, metadata = io.read_tensors(result.cell.folder / "snapshots.safetensors")
    pictures = tensors["images"]
    if not len(pictures):
        return Samples()
    return Samples(pictures[-1] if result.status == OK else None, pictures, tuple(metadata["images_shown"]))


def _examples(protocol: Json) -> str:
    return "images" if stacked.STACKED in protocol else "points"


TRACK = Track(
    name="mode_collapse",
    catalogue=CATALOGUE,
    protocol_in_words=_protocol,
    charts=_charts,
    examples=_examples,
    beside=_beside,
    metric_pairs=(("modes", "high_quality"),),
    samples=_pictures,
    galleries=_galleries,
)
