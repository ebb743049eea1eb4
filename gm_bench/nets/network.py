"""What a family of networks provides to the variants, and how it is found by name."""

import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from typing import Literal

from torch import nn

import gm_bench.nets
from gm_bench.config import NetworkChoice, check_keywords


class Network(ABC):
    """A matched set of builders for images of one shape.

    Constructor keywords beyond `image_shape` are the `network` entry of the recipe in params.yaml.

    Args:
        image_shape: (C, H, W).
        critic_norm: "batch" normalises the discriminator's inner layers, "none" leaves them as they are.
    """

    def __init__(self, image_shape: tuple[int, int, int], critic_norm: Literal["batch", "none"]) -> None:
        if critic_norm not in ("batch", "none"):
            raise ValueError(f"params.yaml: critic_norm is '{critic_norm}'; allowed: batch, none")
        self.image_shape = image_shape
        self.critic_norm = critic_norm

    @abstractmethod
    def generator(self, z_dim: int) -> nn.Module:
        """(N, z_dim) → images (N, C, H, W) in [-1, 1]. Also the decoder of an autoencoder."""

    @abstractmethod
    def discriminator(self, n_outputs: int = 1) -> nn.Module:
        """Images (N, C, H, W) → (N, n_outputs), unbounded."""

    @abstractmethod
    def encoder(self, n_outputs: int) -> nn.Module:
        """Images (N, C, H, W) → (N, n_outputs), unbounded."""


def build(choice: NetworkChoice, image_shape: tuple[int, int, int]) -> Network:
    """Construct the network family of the file `gm_bench/nets/<name>.py` for images (C, H, W).

    Raises:
        ValueError: no such family, or a keyword missing or unknown to it; the message lists what there is.
    """
    name = choice.name
    files = [module.name for module in pkgutil.iter_modules(gm_bench.nets.__path__)]
    cls = _family(name) if name in files else None
    if cls is None:
        known = ", ".join(file for file in files if _family(file))
        raise ValueError(f"unknown network '{name}'; gm_bench/nets/ holds: {known}")
    check_keywords(cls, choice.options, f"a recipe's network entry for {name}", given=("image_shape",))
    return cls(image_shape, **choice.options)


def _family(file: str) -> type[Network] | None:
    module = importlib.import_module(f"gm_bench.nets.{file}")
    own = [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__]
    return next((c for c in own if issubclass(c, Network) and c is not Network), None)


def initialise(module: nn.Module, std: float) -> nn.Module:
    """Weights of linear and convolutional layers ~ N(0, std²), biases 0.

    Source: Radford et al. 2015, §4 (std 0.02).
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module
