"""What was published of mode collapse, beside what the board has."""

from dataclasses import dataclass

from gm_bench.report.display import Comparison
from gm_bench.report.formatting import NOT_AVAILABLE, decimals, number, score_text
from gm_bench.results.leaderboard import Leaderboard

LIN, SRIVASTAVA = "Lin et al. 2018", "Srivastava et al. 2017"
METRICS = ("modes", "high_quality", "reverse_kl")


@dataclass(frozen=True)
class Published:
    """A row of a published table.

    Args:
        method: its name there.
        variant: the one of gm_bench.variants that has its loss; empty for none.
        values: modes, high-quality share, reverse KL, as printed; a dash where the source has none.
        n_shown: real examples that its training was shown.
        source: the paper.
    """

    method: str
    variant: str
    values: tuple[str, str, str]
    n_shown: int
    source: str


# Of ten seeds. Their GAN is trained by the loss of ns_gan. By their code an epoch has as many packs as there
# are points: PacGAN is shown twice or four times as many of them.
POINTS = {
    "ring": (
        Published("GAN", "ns_gan", ("6.3 ± 0.5", "0.982 ± 0.002", "0.45 ± 0.09"), 40_000_000, LIN),
        Published("PacGAN2", "pac_gan", ("7.9 ± 0.1", "0.956", "0.07"), 80_000_000, LIN),
        Published("PacGAN4", "", ("7.8 ± 0.1", NOT_AVAILABLE, NOT_AVAILABLE), 160_000_000, LIN),
    ),
    "grid": (
        Published("GAN", "ns_gan", ("17.3 ± 0.8", "0.948 ± 0.007", "0.70 ± 0.07"), 40_000_000, LIN),
        Published("PacGAN2", "pac_gan", ("23.8 ± 0.7", "0.913", "0.13"), 80_000_000, LIN),
        Published("PacGAN4", "", ("24.8 ± 0.2", NOT_AVAILABLE, NOT_AVAILABLE), 160_000_000, LIN),
    ),
}
# 128,000 images, 50 epochs, batch 64, z of 100, Adam 2e-4 with β₁ 0.5, 26,000 samples; each source has its
# own networks and classifier, and Lin et al., by their code, packs in place of images, of all of MNIST's.
N_STACKS = 6_400_000
STACKS = (
    Published("DCGAN", "ns_gan", ("99.0", NOT_AVAILABLE, "3.40"), N_STACKS, SRIVASTAVA),
    Published("DCGAN", "ns_gan", ("78.9 ± 6.5", NOT_AVAILABLE, "4.50"), N_STACKS, LIN),
    Published("PacDCGAN2", "pac_gan", ("1000", NOT_AVAILABLE, "0.06"), 2 * N_STACKS, LIN),
    Published("ALI", "", ("16.0", NOT_AVAILABLE, "5.40"), N_STACKS, SRIVASTAVA),
    Published("Unrolled GAN", "", ("48.7", NOT_AVAILABLE, "4.32"), N_STACKS, SRIVASTAVA),
    Published("VEEGAN", "", ("150.0", NOT_AVAILABLE, "2.95"), N_STACKS, SRIVASTAVA),
)


def beside(board: Leaderboard, dataset: str, rows: tuple[Published, ...]) -> Comparison | None:
    """The published rows with what the board measured of the same variants.

    Args:
        rows: those of the dataset, as of `POINTS` and `STACKS`.

    Returns:
        A table; None where the board has none of the variants.
    """
    entries = board.entries[dataset]
    ours = {entry.variant: entry for entry in entries}
    if not any(row.variant in ours for row in rows):
        return None
    digits = {name: decimals(entries, name) for name in METRICS}
    lines = []
    for row in rows:
        entry = ours.get(row.variant)
        line = [row.method, row.source, row.variant if entry else NOT_AVAILABLE]
        for name, there in zip(METRICS, row.values, strict=True):
            here = score_text(entry.metrics.get(name), digits[name]) if entry else NOT_AVAILABLE
            line += [here, there]
        here = number(entry.cost["budget"], 0) if entry else NOT_AVAILABLE
        lines.append((*line, here, number(row.n_shown, 0)))
    titles = [board.catalogue.title(name) for name in METRICS]
    pairs = [side for title in (*titles, "Shown") for side in (f"{title} here", "there")]
    return Comparison(
        "Beside what was published", ("method", "source", "variant here", *pairs), tuple(lines), 3
    )
