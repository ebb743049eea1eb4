"""VQ-VAE: an image becomes a map of entries of a codebook, and an autoregressive prior writes such maps.

Source: van den Oord et al. 2017, "Neural discrete representation learning", equations 1 to 3 and §3.3; the
prior is the PixelCNN of van den Oord et al. 2016, "Pixel recurrent neural networks", §3.4.

    z = E(x) at each place,   k = argminⱼ ‖z − eⱼ‖,   q = e_k
    model  min  −log p(x | q) + ‖sg[z] − q‖² + β ‖z − sg[q]‖²,   p(x | q) = N(D(q), sigma² I),   dq/dz := 1
    prior  min  −Σ log p(k at a place | k at the places before it)

Deviates from the paper: the prior learns beside the autoencoder, on codes that carry no gradient back, so
that one budget covers both; batch normalisation; the PixelCNN has fewer layers.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, embedding, relu

from gm_bench.nets.network import Network
from gm_bench.options import NotNegative, Positive, PositiveInt
from gm_bench.variants.base.contract import Batch, Decoder, Encoder, Variant
from gm_bench.variants.vae import gaussian_log_likelihood


def nearest(z: Tensor, codebook: Tensor) -> Tensor:
    """Index (…), int64, of the codebook's entry (K, D) nearest to each z (…, D)."""
    flat = z.reshape(-1, z.shape[-1])
    distances = codebook.square().sum(dim=1) - 2 * flat @ codebook.T  # less ‖z‖², the same for every entry
    return distances.argmin(dim=1).view(z.shape[:-1])


def straight_through(z: Tensor, quantised: Tensor) -> Tensor:
    """The value of `quantised` with the gradient of z."""
    return z + (quantised - z).detach()


def codebook_loss(z: Tensor, quantised: Tensor) -> Tensor:
    """‖sg[z] − quantised‖² of (n, …), mean over images: moves the codebook to the encoder."""
    return (z.detach() - quantised).square().flatten(1).sum(dim=1).mean()


def commitment_loss(z: Tensor, quantised: Tensor) -> Tensor:
    """‖z − sg[quantised]‖² of (n, …), mean over images: keeps the encoder near the codebook."""
    return (z - quantised.detach()).square().flatten(1).sum(dim=1).mean()


def perplexity(indices: Tensor, n_codes: int) -> Tensor:
    """exp of the entropy of how often each code is used: n_codes where all are used alike, 1 where one is."""
    # Not by bincount, which asks the CPU how many there are: a GPU would wait, and could not capture it.
    counts = (indices.reshape(-1, 1) == torch.arange(n_codes, device=indices.device)).sum(dim=0)
    shares = counts / indices.numel()
    return shares.xlogy(shares).sum().neg().exp()


class MaskedConv2d(nn.Conv2d):
    """A convolution that sees the places above, and those to the left in the same row.

    Args:
        sees_itself: whether the place itself is seen too (mask B of the source) or not (mask A).
    """

    def __init__(self, n_in: int, n_out: int, kernel_size: int, sees_itself: bool) -> None:
        super().__init__(n_in, n_out, kernel_size, padding=kernel_size // 2)
        mask = torch.zeros(kernel_size, kernel_size)
        middle = kernel_size // 2
        mask[:middle] = 1
        mask[middle, : middle + int(sees_itself)] = 1
        self.mask: Tensor
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class PixelCNN(nn.Module):
    """Maps of codes (N, h, w) → logits (N, K, h, w), each from the codes before its place, row by row.

    The first layer reaches three places in every direction, which on maps of 4×4 is all of them.

    Args:
        n_codes: K.
        width: channels of every layer.
        n_layers: residual layers after the first.
    """

    def __init__(self, n_codes: int, width: int, n_layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_codes, width)
        self.first = MaskedConv2d(width, width, 7, sees_itself=False)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(),
                MaskedConv2d(width, width, 3, sees_itself=True),
                nn.ReLU(),
                nn.Conv2d(width, width, 1),
            )
            for _ in range(n_layers)
        )
        self.last = nn.Conv2d(width, n_codes, 1)

    def forward(self, indices: Tensor) -> Tensor:
        x = self.first(self.embedding(indices).movedim(-1, 1))
        for layer in self.layers:
            x = x + layer(x)
        logits: Tensor = self.last(relu(x))
        return logits


class Residual(nn.Module):
    """x + W₂ relu(W₁ relu(x)): 3×3, then 1×1; the source's §4."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = x + self.layers(x)
        return total


class VQVAE(Variant, Encoder, Decoder):
    """Vector-quantised autoencoder with a PixelCNN prior.

    Its code, where one is asked for, is the map of vectors before they are quantised, flattened.

    Args:
        n_codes: entries K of the codebook.
        code_dim: dimensions D of an entry.
        beta: weight β of the commitment.
        sigma: standard deviation of a pixel, on the scale of images in [-1, 1].
        prior_width: channels of the PixelCNN.
        prior_layers: its residual layers.
    """

    family: ClassVar[str] = "VAE"
    source: ClassVar[str] = "van den Oord et al. 2017, eq. 3"
    players: ClassVar[tuple[str, ...]] = ("model",)
    networks: ClassVar[tuple[str, ...]] = ("dcgan",)

    def __init__(
        self,
        network: Network,
        n_codes: PositiveInt,
        code_dim: PositiveInt,
        beta: NotNegative,
        sigma: Positive,
        prior_width: PositiveInt,
        prior_layers: PositiveInt,
    ) -> None:
        super().__init__(network)
        self.beta, self.sigma = beta, sigma
        body, (width, height, breadth) = network.map_encoder()
        self.map_shape = (height, breadth, code_dim)
        codebook = nn.Embedding(n_codes, code_dim)
        nn.init.uniform_(codebook.weight, -1 / n_codes, 1 / n_codes)
        self.model = nn.ModuleDict(
            {
                "encoder": nn.Sequential(
                    body, Residual(width), Residual(width), nn.ReLU(), nn.Conv2d(width, code_dim, 1)
                ),
                "codebook": codebook,
                "decoder": nn.Sequential(
                    nn.Conv2d(code_dim, width, 3, padding=1),
                    Residual(width),
                    Residual(width),
                    nn.ReLU(),
                    network.map_decoder(),
                ),
                "prior": PixelCNN(n_codes, prior_width, prior_layers),
            }
        )

    @property
    def codebook(self) -> Tensor:
        """Its entries (K, D)."""
        return self.model["codebook"].get_parameter("weight")

    def loss(self, player: str, batch: Batch) -> dict[str, Tensor]:
        x = batch.images
        z = self._encoded(x)
        indices = nearest(z.detach(), self.codebook.detach())
        quantised = embedding(indices, self.codebook)
        x_hat = self._decoded(straight_through(z, quantised))
        error = -gaussian_log_likelihood(x, x_hat, torch.full((), self.sigma, device=x.device)).mean()
        fit, commitment = codebook_loss(z, quantised), commitment_loss(z, quantised)
        prior = self.prior_loss(indices)
        return {
            "loss": error + fit + self.beta * commitment + prior,
            "reconstruction": error,
            "codebook": fit,
            "prior": prior,
            "perplexity": perplexity(indices, len(self.codebook)),
        }

    def latent(self, n: int, generator: torch.Generator) -> Tensor:
        height, breadth, _ = self.map_shape
        indices = torch.zeros(n, height, breadth, dtype=torch.int64, device=generator.device)
        for row in range(height):
            for column in range(breadth):
                logits = self.model["prior"](indices)[:, :, row, column]
                drawn = torch.multinomial(logits.softmax(dim=1), 1, generator=generator)
                indices[:, row, column] = drawn.squeeze(1)
        return embedding(indices, self.codebook).flatten(1)

    def sample(self, n: int, generator: torch.Generator, labels: Tensor | None = None) -> Tensor:
        return self.decode(self.latent(n, generator))

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self._encoded(images).flatten(1)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        z = z.view(-1, *self.map_shape)
        return self._decoded(straight_through(z, embedding(nearest(z, self.codebook), self.codebook)))

    def _encoded(self, images: Tensor) -> Tensor:
        """(n, C, H, W) → vectors (n, h, w, D)."""
        vectors: Tensor = self.model["encoder"](images).movedim(1, -1)
        return vectors

    def _decoded(self, vectors: Tensor) -> Tensor:
        images: Tensor = self.model["decoder"](vectors.movedim(-1, 1))
        return images

    def prior_loss(self, indices: Tensor) -> Tensor:
        """−log p of maps of codes (n, h, w), in nats per image."""
        logits = self.model["prior"](indices).movedim(1, -1).flatten(0, 2)
        return cross_entropy(logits, indices.flatten(), reduction="sum") / len(indices)
