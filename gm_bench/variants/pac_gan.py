"""PacGAN: the discriminator judges several samples at once, so that a generator without variety is found out.

Source: Lin et al. 2018, "PacGAN: the power of two samples in generative adversarial networks", §2.

    critic     min  −E log D(x₁, …, x_m) − E log(1 − D(G(z₁), …, G(z_m))),   D = σ(score)
    generator  min  −E log D(G(z₁), …, G(z_m))

The m samples of a pack are stacked along their channels; all else is the non-saturating GAN's, and with m = 1
this is it. Where collapse makes two fakes alike, a pair of them is told from two real images by that alone.

Deviates from the paper: the packs of an update are cut from the batch of the recipe, n / m of them, so that
the budget in real images is that of every variant; what does not fill a pack is left out.
"""

from typing import ClassVar, Literal

from torch import Tensor, nn

from gm_bench.nets.network import Network
from gm_bench.options import PositiveInt
from gm_bench.variants.ns_gan import NSGAN


def packed(images: Tensor, pack: int) -> Tensor:
    """(n, C, H, W) → (n // pack, pack · C, H, W): each pack is `pack` images that follow one another.

    Raises:
        ValueError: there are fewer images than a pack holds.
    """
    n = len(images) // pack
    if not n:
        raise ValueError(
            f"params.yaml: pac_gan packs {pack} images, but a batch has {len(images)}: set pack lower"
        )
    return images[: n * pack].reshape(n, pack * images.shape[1], *images.shape[2:])


class PacGAN(NSGAN):
    """Non-saturating GAN with a packing discriminator.

    Args:
        pack: samples that the critic sees at once, m.
    """

    family: ClassVar[str] = "GAN"
    source: ClassVar[str] = "Lin et al. 2018, §2"

    def __init__(
        self, network: Network, z_dim: PositiveInt, prior: Literal["normal", "uniform"], pack: PositiveInt
    ) -> None:
        self.pack = pack
        super().__init__(network, z_dim, prior)

    def build_critic(self, network: Network) -> nn.Module:
        return network.discriminator(n_channels=self.pack * self.image_shape[0])

    def score(self, images: Tensor, labels: Tensor | None) -> Tensor:
        scores: Tensor = self.critic(packed(images, self.pack))
        return scores
