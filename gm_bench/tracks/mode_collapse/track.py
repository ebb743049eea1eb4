"""The track: modes found, share of good samples, reverse KL, beside what was published."""

from collections.abc import Sequence

from gm_bench import io
from gm_bench.metrics.catalogue import MAIN, Catalogue, Metric
from gm_bench.report.charts import Chart, ranking
from gm_bench.report.charts import Panel as Picture
from gm_bench.report.display import Json, Samples
from gm_bench.report.drawing import FAMILY_INKS, PANEL, figure_of, to_svg
from gm_bench.report.pictures import Gallery
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.schema import OK, CellResult
from gm_bench.tracks.mode_collapse.stacked import pages as stacked
from gm_bench.tracks.track import Track

# (mixture, variant) → modes, high-quality share, reverse KL: Lin et al. 2018, ten seeds. Their GAN is trained
# by the loss of ns_gan; pac_gan is their PacGAN2. By their code an epoch has 100,000 packs.
PUBLISHED = {
    ("ring", "ns_gan"): ("6.3 ± 0.5", "0.982 ± 0.002", "0.45 ± 0.09"),
    ("ring", "pac_gan"): ("7.9 ± 0.1", "0.956", "0.07"),
    ("grid", "ns_gan"): ("17.3 ± 0.8", "0.948 ± 0.007", "0.70 ± 0.07"),
    ("grid", "pac_gan"): ("23.8 ± 0.7", "0.913", "0.13"),
}
N_PUBLISHED = {"ns_gan": 40_000_000, "pac_gan": 80_000_000}  # points, of 400 epochs
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
        ),
    ],
    order_by="reverse_kl",
)


def _protocol(board: Leaderboard, dataset: str) -> list[str]:
    told = board.protocols[dataset]
    if stacked.STACKED in told:
        return stacked.protocol_in_words(told, [entry.variant for entry in board.entries[dataset]])
    of = told["mixture"]
    return [
        f"Samples: {told['n_samples']:,} points of each cell; {of['n_points']:,} real ones for training.",
        "Reverse KL: of the points of high quality, as it is published, so read it with their share: it says "
        "nothing of points that lie on no mode.",
        f"Mixture: {of['n_modes']} Gaussians of sd {of['sd']:g} on a {of['layout']} of {of['size']:g} "
        "(Lin et al. 2018).",
    ]


def _notes(board: Leaderboard, dataset: str) -> list[str]:
    """What was published for a variant of the table."""
    said = []
    for entry in board.entries[dataset]:
        if stacked.STACKED in board.protocols[dataset]:
            said += stacked.notes(entry.variant, entry.cost["budget"])
            continue
        published = PUBLISHED.get((dataset, entry.variant))
        if published:
            modes, quality, kl = published
            said.append(
                f"{entry.variant}: published {modes} modes, {quality} of high quality, reverse KL {kl} "
                f"(Lin et al. 2018, {N_PUBLISHED[entry.variant]:,} points shown; here "
                f"{entry.cost['budget']:,})."
            )
    return said


def _charts(board: Leaderboard, dataset: str, results: Sequence[CellResult]) -> list[Chart]:
    charts = [ranking(board, dataset), _samples(board, dataset, results)]
    return [chart for chart in charts if chart]


def _samples(board: Leaderboard, dataset: str, results: Sequence[CellResult]) -> Chart | None:
    """Samples of each variant's first seed in the plane."""
    panels, lines = [], ["variant,seed,x,y"]
    for entry in board.entries[dataset]:
        own = [r for r in results if r.variant == entry.variant and r.details.get("points")]
        if not own:
            continue
        points = own[0].details["points"]
        figure, axes = figure_of(PANEL, PANEL)
        axes.plot(*zip(*points, strict=True), ".", color=FAMILY_INKS[0], markersize=1.5)
        axes.set_aspect("equal", adjustable="datalim")
        panels.append(Picture(entry.variant, to_svg(figure, f"{dataset}-samples-{entry.variant}")))
        lines += [f"{entry.variant},{own[0].seed},{x:.4f},{y:.4f}" for x, y in points]
    if not panels:
        return None
    return Chart(
        f"{dataset}-samples",
        "Samples",
        "Samples of the first seed of each variant, unselected.",
        f"Samples of {', '.join(panel.label for panel in panels)} on {dataset} in the plane.",
        tuple(panels),
        "\n".join(lines) + "\n",
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
    notes=_notes,
    metric_pairs=(("modes", "high_quality"),),
    samples=_pictures,
    galleries=_galleries,
)
