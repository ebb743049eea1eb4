"""What pages say of stacked digits: their protocol, what was published and by which one; real stacks."""

from collections.abc import Sequence

from gm_bench import io
from gm_bench.cell import REFERENCE
from gm_bench.report.display import Json
from gm_bench.report.pictures import Figure, Gallery, grid_picture
from gm_bench.tracks.mode_collapse.stacked.modes import SURE
from gm_bench.tracks.mode_collapse.stacked.settings import N_SHOWN

STACKED = "stacked"  # a key of protocols of stacks alone
COLUMNS = 8
# Method, the variant here that is nearest to it, modes, KL, source. 128,000 images, 50 epochs, batch 64, z of
# 100, Adam 2e-4 with β₁ 0.5, 26,000 samples; each source has its own networks and its own classifier, and
# Lin et al., by their code, packs of images in place of images, of all 70,000 of MNIST.
PUBLISHED = (
    ("DCGAN", "ns_gan", "99.0", "3.40", "Srivastava et al. 2017"),
    ("DCGAN", "ns_gan", "78.9 ± 6.5", "4.50", "Lin et al. 2018"),
    ("PacDCGAN2", "pac_gan", "1000", "0.06", "Lin et al. 2018"),
    ("ALI", "", "16.0", "5.40", "Srivastava et al. 2017"),
    ("Unrolled GAN", "", "48.7", "4.32", "Srivastava et al. 2017"),
    ("VEEGAN", "", "150.0", "2.95", "Srivastava et al. 2017"),
)
N_PUBLISHED = 6_400_000  # images shown, or packs of them


def protocol_in_words(told: Json, entries: Sequence[str]) -> list[str]:
    """One sentence a line.

    Args:
        told: the protocol.
        entries: variants of the table.
    """
    of, classifier = told[STACKED], told["extractor"]
    others = "; ".join(
        f"{method} {modes} and {kl} ({source})"
        for method, variant, modes, kl, source in PUBLISHED
        if variant not in entries
    )
    return [
        f"Samples: {told['n_samples']:,} images of each cell; {of['n_images']:,} stacks of three images of "
        f"{of['of']} for training.",
        f"Modes: which class the LeNet pinned for {of['of']} (right on {classifier['test_accuracy']:.1%} of "
        "test images) takes each channel for; reverse KL is against the training stacks, which have equal "
        "modes but for chance; the floor is of stacks of test images.",
        f"High quality: the LeNet gives all three digits a probability of {SURE} and more. It names a mode "
        "for whatever it is shown, so that hundreds of modes can be of strokes that are no digits.",
        f"Published: of {N_PUBLISHED:,} images shown, or packs (50 epochs of 128,000) in batches of 64, z of "
        "100, Adam 2e-4 with β₁ 0.5, 26,000 samples, with wider networks and another classifier. These "
        "numbers compare with one another, not with this table. Modes and reverse KL of methods without a "
        f"row are {others}.",
    ]


def notes(variant: str, n_images: int) -> list[str]:
    """What was published for a variant of the table, whose cells were shown `n_images` images."""
    return [
        f"{variant}: published for {method} {modes} modes, reverse KL {kl} ({source}, "
        f"{N_PUBLISHED * (2 if variant == 'pac_gan' else 1):,} images shown; here {n_images:,})."
        for method, nearest, modes, kl, source in PUBLISHED
        if nearest == variant
    ]


def real(dataset: str, n_bytes: int) -> Gallery:
    """Stacks of test images.

    Raises:
        FileError: the file is missing or damaged.
    """
    images = io.read_rows(REFERENCE / dataset / "real.safetensors", "images", N_SHOWN)
    picture = grid_picture(images, COLUMNS, n_bytes)
    figure = Figure("real images", "test split", picture, f"{len(images)} real images of {dataset}")
    note = "Each channel (red, green, blue) is a digit: every image has one of 1,000 modes."
    return Gallery("Real images", dataset, note, (figure,))
