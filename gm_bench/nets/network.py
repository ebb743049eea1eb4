"""What a family of networks provides to the variants, and how it is found by name."""

import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.nn.utils.parametrizations import spectral_norm

import gm_bench.nets
from gm_bench.options import check_keywords

Norm = Literal["batch", "spectral", "none"]


class Network(ABC):
    """A matched set of builders for images of one shape.

    A family says how an image is made (`decoder`) and how it is read (`body`); what the variants ask for is
    put together from these two. Constructor keywords beyond `image_shape` and `n_classes` are the `network`
    entry of the recipe in params.yaml.

    Args:
        image_shape: (C, H, W).
        n_classes: classes of the data set, 0 where it has no labels.
        critic_norm: "batch" normalises the discriminator's inner layers, "spectral" divides each of its
            weights by its largest singular value (Miyato et al. 2018), "none" leaves them as they are.
    """

    std: ClassVar[float | None] = None  # of the initial weights; None leaves torch's own initialisation

    def __init__(self, image_shape: tuple[int, ...], n_classes: int, critic_norm: Norm) -> None:
        self.image_shape = image_shape
        self.n_classes = n_classes
        self.critic_norm = critic_norm

    @property
    def name(self) -> str:
        """Of the family, as params.yaml calls it."""
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def _decoder(self, z_dim: int, n_channels: int) -> nn.Module:
        """(N, z_dim) → (N, n_channels, H, W), unbounded."""

    @abstractmethod
    def _body(self, n_channels: int, norm: Norm) -> tuple[nn.Module, int]:
        """(N, n_channels, H, W) → features (N, F), rectified; and F."""

    def decoder(self, z_dim: int, n_channels: int | None = None) -> nn.Module:
        """(N, z_dim) → (N, n_channels, H, W), unbounded: parameters of a distribution over pixels.

        Args:
            n_channels: those of the images unless given.
        """
        return self._initialised(self._decoder(z_dim, n_channels or self.image_shape[0]))

    def generator(self, z_dim: int) -> nn.Module:
        """(N, z_dim) → images (N, C, H, W) in [-1, 1]."""
        return nn.Sequential(self.decoder(z_dim), nn.Tanh())

    def conditional_generator(self, z_dim: int) -> nn.Module:
        """(N, z_dim) and labels (N,) → images (N, C, H, W) in [-1, 1]."""
        return OneHotCode(self.generator(z_dim + self.n_classes), self.n_classes)

    def encoder(self, n_outputs: int, n_channels: int | None = None) -> nn.Module:
        """(N, n_channels, H, W) → (N, n_outputs), unbounded, with batch normalisation."""
        body, n_features = self._body(n_channels or self.image_shape[0], "batch")
        return self._initialised(nn.Sequential(body, nn.Linear(n_features, n_outputs)))

    def map_encoder(self) -> tuple[nn.Module, tuple[int, int, int]]:
        """Images (N, C, H, W) → maps of features (N, F, h, w), rectified, with batch norm; and (F, h, w).

        Raises:
            ValueError: the family has no maps.
        """
        body, shape = self._map_body(self.image_shape[0])
        return self._initialised(body), shape

    def map_decoder(self) -> nn.Module:
        """Maps of the shape that `map_encoder` gives → images (N, C, H, W) in [-1, 1]."""
        return nn.Sequential(self._initialised(self._map_decoder(self.image_shape[0])), nn.Tanh())

    def _map_body(self, n_channels: int) -> tuple[nn.Module, tuple[int, int, int]]:
        raise ValueError(f"network {self.name} has no maps of features; use network dcgan")

    def _map_decoder(self, n_channels: int) -> nn.Module:
        raise ValueError(f"network {self.name} has no maps of features; use network dcgan")

    def discriminator(self, n_outputs: int = 1, n_channels: int | None = None) -> nn.Module:
        """(N, n_channels, H, W) → (N, n_outputs), unbounded, normalised as `critic_norm` says."""
        body, n_features = self._body(n_channels or self.image_shape[0], self.critic_norm)
        return self.normalised(self._initialised(nn.Sequential(body, nn.Linear(n_features, n_outputs))))

    def critic_body(self) -> tuple[nn.Module, int]:
        """Images (N, C, H, W) → features (N, F) of a discriminator without its last layer; and F."""
        body, n_features = self._body(self.image_shape[0], self.critic_norm)
        return self.normalised(self._initialised(body)), n_features

    def normalised(self, module: nn.Module) -> nn.Module:
        """A part of a discriminator, its weights under spectral normalisation where `critic_norm` says so."""
        if self.critic_norm == "spectral":
            for layer in module.modules():
                if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding):
                    spectral_norm(layer)
        return module

    def _initialised(self, module: nn.Module) -> nn.Module:
        """Weights of linear and convolutional layers ~ N(0, std²), biases 0, where the family has a std."""
        if self.std is not None:
            for layer in module.modules():
                if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                    nn.init.normal_(layer.weight, 0.0, self.std)
                    if layer.bias is not None:
                        nn.init.zeros_(layer.bias)
        return module


class OneHotCode(nn.Module):
    """A generator that is given the class as a one-hot vector beside the code.

    Source: Mirza & Osindero 2014, "Conditional generative adversarial nets", figure 1.
    """

    def __init__(self, generator: nn.Module, n_classes: int) -> None:
        super().__init__()
        self.generator = generator
        self.n_classes = n_classes

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """(N, z_dim), (N,) → (N, C, H, W)."""
        images: Tensor = self.generator(torch.cat([z, one_hot(labels, self.n_classes).to(z.dtype)], dim=1))
        return images


def with_label_planes(images: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """(N, C, H, W), (N,) → (N, C + n_classes, H, W): one plane a class, 1 for the image's own, else 0."""
    planes = one_hot(labels, n_classes).to(images.dtype)[:, :, None, None]
    return torch.cat([images, planes.expand(-1, -1, *images.shape[2:])], dim=1)


def build(name: str, options: Mapping[str, Any], image_shape: tuple[int, ...], n_classes: int) -> Network:
    """Construct the network family of the file `gm_bench/nets/<name>.py` for images (C, H, W).

    Args:
        options: its constructor keywords beyond the two below.
        n_classes: classes of the data set, 0 where it has no labels.

    Raises:
        ValueError: no such family, or a keyword missing, unknown to it or of another type; the message says
            what there is.
    """
    files = [module.name for module in pkgutil.iter_modules(gm_bench.nets.__path__)]
    cls = _family(name) if name in files else None
    if cls is None:
        known = ", ".join(file for file in files if _family(file))
        raise ValueError(f"unknown network '{name}'; gm_bench/nets/ holds: {known}")
    given = ("image_shape", "n_classes")
    check_keywords(cls, options, f"a recipe's network entry for {name}", given=given)
    return cls(image_shape, n_classes, **options)


def _family(file: str) -> type[Network] | None:
    module = importlib.import_module(f"gm_bench.nets.{file}")
    own = [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__]
    return next((c for c in own if issubclass(c, Network) and c is not Network), None)
