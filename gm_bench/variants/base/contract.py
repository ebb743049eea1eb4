"""The contract of a generative model: what a file in `gm_bench/variants/` fulfils.

A variant is a module named like its file, holding one final subclass of `Variant`. The training loop knows
nothing else about it: it asks for the loss of each player in turn and updates that player's parameters.
"""

import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

import gm_bench.variants
from gm_bench.config import check_keywords
from gm_bench.nets.network import Network


class Batch:
    """What one update sees. Real images are fetched when first asked for, and counted then.

    Attributes:
        n: batch size.
        generator: source of every random draw of this update, on the device.
        progress: share of the budget that is spent, in [0, 1].
        n_images_shown: n once the update has looked at real images, else 0.

    Args:
        images: the training set (N, C, H, W), uint8, on the device.
        labels: its classes (N,), int64.
        rows: which of them this batch holds (n,).
    """

    def __init__(
        self, generator: torch.Generator, progress: float, images: Tensor, labels: Tensor, rows: Tensor
    ) -> None:
        self.n = len(rows)
        self.generator = generator
        self.progress = progress
        self.n_images_shown = 0
        self._dataset = images, labels, rows

    @cached_property
    def images(self) -> Tensor:
        """Real images (n, C, H, W) in [-1, 1]."""
        self.n_images_shown = self.n
        images, _, rows = self._dataset
        return images[rows].div(127.5).sub_(1)

    @cached_property
    def labels(self) -> Tensor:
        """Their classes (n,), int64."""
        _, labels, rows = self._dataset
        return labels[rows]


class Variant(nn.Module, ABC):
    """A generative model together with the objective that trains it.

    The parameters of a player are those of the submodule of the same name. Constructor keywords beyond
    `network` are the `model` entry of the recipe in params.yaml.

    Attributes:
        family: one of the four, or "baselines".
        source: paper, year and place in it.
        players: in the order of their updates within a round; none where `begin` fits the model.
        conditional: whether it learns p(x | y): `sample` then follows its labels.
        networks: names of the families of networks that it works with; empty for all.
        critic_norms: what `critic_norm` of its network may be; empty for all.
        density: what its `log_likelihood_bounds` are of, in words; empty where it has no density.
    """

    family: ClassVar[str]
    source: ClassVar[str]
    players: ClassVar[tuple[str, ...]]
    conditional: ClassVar[bool] = False
    networks: ClassVar[tuple[str, ...]] = ()
    critic_norms: ClassVar[tuple[str, ...]] = ()
    density: ClassVar[str] = ""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.image_shape = network.image_shape
        self.n_classes = network.n_classes

    @abstractmethod
    def loss(self, player: str, batch: Batch) -> dict[str, Tensor]:
        """Scalars of one update of `player`: "loss" is minimised, the other terms are recorded."""

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator, labels: Tensor | None = None) -> Tensor:
        """Draw n images (n, C, H, W) in [-1, 1]. Called in eval mode, without gradients.

        Args:
            labels: the class of each, (n,), int64, for conditional variants; None for the others.
        """

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Codes (n, z_dim) of images (n, C, H, W) in [-1, 1], where the variant has an encoder."""
        raise ValueError(f"{type(self).__name__} has no encoder")

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (n, C, H, W) in [-1, 1] of codes (n, z_dim), where the variant has a latent code."""
        raise ValueError(f"{type(self).__name__} has no latent code")

    def latent(self, n: int, generator: torch.Generator) -> Tensor:
        """Codes (n, z_dim) as `sample` draws them, on the generator's device, where there is a code."""
        raise ValueError(f"{type(self).__name__} has no latent code")

    def log_likelihood_bounds(
        self, images: Tensor, labels: Tensor | None, n_codes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Lower bounds of log p(x) of images (n, C, H, W) in [-1, 1]: (n,) each, in nats.

        The ELBO and the importance-weighted bound of `n_codes` codes an image; both are log p(x) itself where
        it is known. Called in eval mode, without gradients, where `density` is set.
        """
        raise ValueError(f"{type(self).__name__} has no density")

    def after_update(self, player: str) -> None:
        """Called after each update of `player`, without gradients: weight clipping and the like."""

    def begin(self, images: Tensor) -> None:
        """Called once before training with all training images (N, C, H, W), uint8: closed-form fits."""

    def finish(self, images: Tensor) -> None:
        """Called before samples are drawn in or after training, with all training images: fits to the model.

        It may leave the model in eval mode, but changes nothing that training goes on with.
        """


def names() -> list[str]:
    """Names of the variants there are: the files of `gm_bench/variants/`."""
    return sorted(
        module.name for module in pkgutil.iter_modules(gm_bench.variants.__path__) if not module.ispkg
    )


def find(name: str) -> type[Variant]:
    """The variant class in the file of that name.

    Raises:
        ValueError: no such file; the message lists those there are.
    """
    if name not in names():
        raise ValueError(f"unknown variant '{name}'; gm_bench/variants/ holds: {', '.join(names())}")
    module = importlib.import_module(f"gm_bench.variants.{name}")
    classes = [c for c in vars(module).values() if _is_final_variant(c, module.__name__)]
    if len(classes) != 1:
        raise ValueError(f"gm_bench/variants/{name}.py must define one Variant, it defines {len(classes)}")
    return classes[0]


def build(name: str, network: Network, options: dict[str, Any]) -> Variant:
    """Construct a variant from its recipe.

    Raises:
        ValueError: a keyword is missing or unknown to the variant, or it does not work with the network or
            with images that have no classes; the message names what is wrong.
    """
    cls = find(name)
    if cls.networks and network.name not in cls.networks:
        allowed = ", ".join(cls.networks)
        raise ValueError(f"params.yaml: {name} does not work with network {network.name}; allowed: {allowed}")
    if cls.critic_norms and network.critic_norm not in cls.critic_norms:
        allowed = " or ".join(cls.critic_norms)
        raise ValueError(
            f"params.yaml: {name} does not work with critic_norm {network.critic_norm}; set {allowed}"
        )
    if cls.conditional and network.n_classes < 2:
        raise ValueError(f"{name} learns a distribution for each class, but these images have no classes")
    check_keywords(cls, options, f"the model entry of variants.{name}", given=("network",))
    return cls(network=network, **options)


def _is_final_variant(candidate: Any, module: str) -> bool:
    return inspect.isclass(candidate) and issubclass(candidate, Variant) and candidate.__module__ == module
