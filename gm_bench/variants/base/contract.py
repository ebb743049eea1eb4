"""The contract of a generative model: what a file in `gm_bench/variants/` fulfils.

A variant is a module that defines one `Variant` which is not abstract. The training loop knows nothing else
about it: it asks for the loss of each player in turn and updates that player's parameters. Whether a model
can do more, its class says: it is an `Encoder`, a `Decoder`, a `Density`, or it is not.
"""

import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

import gm_bench.variants
from gm_bench.data.scale import from_uint8
from gm_bench.nets.network import Network
from gm_bench.options import check_keywords

LABELS = "labels"  # the field that conditions a model: to read it is not to look at real data


class MissingField(AttributeError, ValueError):
    """The training set has no such field; the message lists those it has."""


class Batch:
    """What one update sees: rows of the training set, each field fetched when it is first asked for.

    A field is an attribute: `batch.images`, `batch.labels`, `batch.target`, `batch.points`, whatever the
    training set holds. Images (uint8) come in [-1, 1]; all others are as they are stored. The first look at a
    field other than the labels is a look at real data, which the budget counts.

    Attributes:
        n: batch size.
        generator: source of every random draw of this update, on the device.
        n_images_shown: n once the update has looked at real data, else 0.

    Args:
        data: the training set by field, (N, …) each, on the device.
        rows: which of it this batch holds (n,).
    """

    def __init__(self, generator: torch.Generator, data: Mapping[str, Tensor], rows: Tensor) -> None:
        self.n = len(rows)
        self.generator = generator
        self.n_images_shown = 0
        self._data, self._rows = data, rows

    def __getattr__(self, name: str) -> Tensor:
        """A field (n, …), which is an attribute from now on."""
        data = self.__dict__.get("_data", {})
        if name not in data:
            raise MissingField(f"the training set has no {name}; it has: {', '.join(data)}")
        values: Tensor = data[name][self._rows]
        if values.dtype == torch.uint8:
            values = from_uint8(values)
        if name != LABELS:
            self.n_images_shown = self.n
        setattr(self, name, values)
        return values


class Model(nn.Module, ABC):
    """Something that is trained, or fitted, together with its objective.

    The parameters of a player are those of the submodule of the same name. Constructor keywords beyond
    `network` are the `model` entry of the recipe in params.yaml.

    Attributes:
        family: one of the four, or "baselines".
        source: paper, year and place in it.
        players: in the order of their updates within a round; none where `begin` fits the model.
        conditional: whether it learns p(x | y): `sample` then follows its labels.
        networks: names of the families of networks that it works with; empty for all.
        critic_norms: what `critic_norm` of its network may be; empty for all.
    """

    family: ClassVar[str]
    source: ClassVar[str]
    players: ClassVar[tuple[str, ...]]
    conditional: ClassVar[bool] = False
    networks: ClassVar[tuple[str, ...]] = ()
    critic_norms: ClassVar[tuple[str, ...]] = ()

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.image_shape = network.image_shape
        self.n_classes = network.n_classes

    @abstractmethod
    def loss(self, player: str, batch: Batch) -> dict[str, Tensor]:
        """Scalars of one update of `player`: "loss" is minimised, the other terms are recorded."""

    def begin(self, data: Mapping[str, Tensor]) -> None:
        """Called once before training with the whole training set by field: closed-form fits."""

    def after_update(self, player: str) -> None:
        """Called after each update of `player`, without gradients: weight clipping and the like."""

    def finish(self, data: Mapping[str, Tensor]) -> None:
        """Called before samples are drawn in or after training, with the whole training set by field.

        For fits to the trained model. It may leave the model in eval mode, but changes nothing that training
        goes on with.
        """


class Sampler(ABC):
    """Draws new data."""

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator, labels: Tensor | None = None) -> Tensor:
        """Draw n images (n, C, H, W) in [-1, 1]. Called in eval mode, without gradients.

        Args:
            labels: the class of each, (n,), int64, for conditional variants; None for the others.
        """


class Encoder(ABC):
    """Gives the code of an image without a search."""

    @abstractmethod
    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Codes (n, z_dim) of images (n, C, H, W) in [-1, 1]."""


class Decoder(ABC):
    """Makes images from codes."""

    @abstractmethod
    def latent(self, n: int, generator: torch.Generator) -> Tensor:
        """Codes (n, z_dim) as `sample` draws them, on the generator's device."""

    @abstractmethod
    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (n, C, H, W) in [-1, 1] of codes (n, z_dim)."""


class Density(ABC):
    """Says how likely an image is.

    Attributes:
        density: what the bounds are of, in words.
    """

    density: ClassVar[str]

    @abstractmethod
    def log_likelihood_bounds(
        self, images: Tensor, labels: Tensor | None, n_codes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Lower bounds of log p(x) of images (n, C, H, W) in [-1, 1]: (n,) each, in nats.

        The ELBO and the importance-weighted bound of `n_codes` codes an image; both are log p(x) itself where
        it is known. Called in eval mode, without gradients.
        """


class Variant(Model, Sampler):
    """A generative model together with the objective that trains it."""


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
    classes = [c for c in vars(module).values() if _is_variant_of(c, module.__name__)]
    if len(classes) != 1:
        raise ValueError(f"gm_bench/variants/{name}.py must define one Variant, it defines {len(classes)}")
    return classes[0]


def build(name: str, network: Network, options: Mapping[str, Any]) -> Variant:
    """Construct a variant from its recipe.

    Raises:
        ValueError: a keyword is missing, unknown to the variant or of another type, or it does not work with
            the network or with images that have no classes; the message names what is wrong.
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


def _is_variant_of(candidate: Any, module: str) -> bool:
    """Whether a name of a module is a variant that it defines: neither imported nor abstract."""
    return (
        inspect.isclass(candidate)
        and issubclass(candidate, Variant)
        and candidate.__module__ == module
        and not inspect.isabstract(candidate)
    )
