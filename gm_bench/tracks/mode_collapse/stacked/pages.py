"""What pages say of stacked digits: their protocol, what was published and by which one; real stacks."""

from gm_bench import io
from gm_bench.cell import REFERENCE
from gm_bench.report.display import Json
from gm_bench.report.pictures import Figure, Gallery, grid_picture
from gm_bench.tracks.mode_collapse.published import N_STACKS
from gm_bench.tracks.mode_collapse.stacked.modes import SURE
from gm_bench.tracks.mode_collapse.stacked.settings import N_SHOWN

STACKED = "stacked"  # a key of protocols of stacks alone
COLUMNS = 8


def protocol_in_words(told: Json) -> list[str]:
    """One sentence a line.

    Args:
        told: the protocol.
    """
    of, classifier = told[STACKED], told["extractor"]
    return [
        f"Samples: {told['n_samples']:,} images of each cell; {of['n_images']:,} stacks of three images of "
        f"{of['of']} for training.",
        f"Modes: which class the LeNet pinned for {of['of']} (right on {classifier['test_accuracy']:.1%} of "
        "test images) takes each channel for; reverse KL is against the training stacks, which have equal "
        "modes but for chance; the floor is of stacks of test images.",
        f"High quality: the LeNet gives all three digits a probability of {SURE} and more. It names a mode "
        "for whatever it is shown, so that hundreds of modes can be of strokes that are no digits.",
        f"Published: of {N_STACKS:,} images shown, or packs (50 epochs of 128,000) in batches of 64, z of "
        "100, Adam 2e-4 with β₁ 0.5, 26,000 samples, with wider networks and another classifier. These "
        "numbers compare with one another, not with this table.",
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
