"""Variants trained for a claim, and their samples beside held-out images, measured as on the boards."""

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from gm_bench.data.dataset import Dataset
from gm_bench.metrics.extractors.features import extract
from gm_bench.metrics.extractors.lenet import LeNetExtractor
from gm_bench.metrics.frechet import Moments, fid, moments
from gm_bench.metrics.neighbours import leave_one_out_1nn, precision_recall
from gm_bench.nets.network import Norm
from gm_bench.reproducibility import derive
from gm_bench.tracks.diagnostics.images import Trainer, network_for
from gm_bench.training import sampling
from gm_bench.variants.base.adversarial import Adversarial
from gm_bench.variants.base.contract import Sampler, Variant

Kind = TypeVar("Kind", bound=Variant)
Gan = TypeVar("Gan", bound=Adversarial)
CPU = torch.device("cpu")
Z_DIM = 64  # of a GAN's code, as on the board of digits
BETAS = (0.5, 0.999)  # of Adam for GANs, as there
NEIGHBOURS = 3  # as in the protocol of the boards
# Pinned weights of the LeNet by dataset. They stand in the package as a file, which no hash of code sees:
# with other weights a claim is refused until this line is changed, and then it runs again.
WEIGHTS = {
    "digits": "be8c6c28099acbbc16c38ad505e29bb66d08105867525c4572bbffebc67cfd16",
    "mnist": "02eeb333869651edf89974ef0da969650f108c48a056e0af05cc62d62558b3f6",
    "fashion_mnist": "c9999925b6507135c2dd8dab9c2740f05e2d4cb62479b8f47138d4041883c8e5",
}


@dataclass(frozen=True)
class Gauge:
    """The held-out images of a dataset, and how near others come to them.

    The LeNet is the one pinned for the dataset, which was trained on the labels of its training split: FID is
    that of the boards, where the number of samples is theirs.
    """

    extractor: LeNetExtractor
    held_out: Tensor
    moments: Moments

    def features(self, images: Tensor) -> Tensor:
        """(n, D) of uint8 images (n, C, H, W)."""
        return extract(self.extractor, images, CPU).features

    def fid(self, images: Tensor) -> float:
        """Fréchet distance of images to all held-out ones."""
        return fid(self.features(images), self.moments)

    def precision(self, images: Tensor) -> float:
        """Share of images within the manifold of the held-out ones."""
        return precision_recall(self.features(images), self.held_out, NEIGHBOURS).precision

    def one_nn(self, images: Tensor) -> float:
        """Leave-one-out 1-NN accuracy of telling images from as many held-out ones, at most all of them."""
        return leave_one_out_1nn(self.features(images), self.held_out[: len(images)]).overall


def gauge(loader: str, data: Dataset) -> Gauge:
    """The gauge of a dataset of those that weights are pinned for.

    Raises:
        ValueError: no weights are pinned for the dataset, or others than the claims were written with.
    """
    if loader not in WEIGHTS:
        raise ValueError(f"claims have no LeNet for the dataset {loader}; they have: {', '.join(WEIGHTS)}")
    channels, height, width = data.train_images.shape[1:]
    record, extractor = LeNetExtractor.of_package(loader, (channels, height, width))
    if record["sha256"] != WEIGHTS[loader]:
        raise ValueError(
            f"the LeNet pinned for {loader} has sha256 {record['sha256']}, the claims were written with "
            f"{WEIGHTS[loader]}: change {__name__}, and run them again"
        )
    held_out = extract(extractor, data.test_images, CPU).features
    return Gauge(extractor, held_out, moments(held_out))


@dataclass(frozen=True)
class Rounds:
    """How a variant is trained: rounds of one update of each player, by Adam at one rate.

    Args:
        network: a module of gm_bench.nets; `width` is that of its layers.
    """

    network: str
    width: int
    n_rounds: int
    batch_size: int
    lr: float


def trainer_of(
    model: Variant,
    images: Tensor,
    rounds: Rounds,
    seed: int,
    purpose: str,
    betas: tuple[float, float] = (0.9, 0.999),
) -> Trainer:
    """What trains a model as `rounds` says."""
    return Trainer(
        model,
        images,
        seed=seed,
        purpose=purpose,
        batch_size=rounds.batch_size,
        lr=rounds.lr,
        betas=betas,
    )


def trained(
    model: Kind,
    images: Tensor,
    rounds: Rounds,
    seed: int,
    purpose: str,
    betas: tuple[float, float] = (0.9, 0.999),
) -> Kind:
    """The same model, trained in place and ready to be sampled from."""
    trainer_of(model, images, rounds, seed, purpose, betas).rounds(rounds.n_rounds)
    model.finish({"images": images})
    return model.eval()


def new_gan(
    kind: type[Gan],
    images: Tensor,
    rounds: Rounds,
    norm: Norm,
    seed: int,
    purpose: str,
    **options: Any,
) -> Gan:
    """An untrained GAN, its weights drawn from (seed, purpose).

    Args:
        norm: of its critic.
        options: keywords of its constructor besides network, z_dim and prior.
    """
    network = network_for(images, rounds.network, rounds.width, norm)
    torch.manual_seed(derive(seed, f"{purpose}/weights"))
    return kind(network, z_dim=Z_DIM, prior="normal", **options)


def trained_gan(model: Gan, images: Tensor, rounds: Rounds, seed: int, purpose: str) -> Gan:
    """The same GAN, trained in place."""
    return trained(model, images, rounds, seed, purpose, BETAS)


def draw(model: Sampler, n: int, seed: int, purpose: str) -> Tensor:
    """Samples (n, C, H, W), uint8, of a model in eval mode, drawn from (seed, purpose).

    Raises:
        ValueError: a sample is not finite.
    """
    return sampling.draw(model, None, n, derive(seed, f"{purpose}/samples"), CPU)
