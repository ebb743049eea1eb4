"""The GAN as it is trained in practice: the generator maximises log D(G(z)), which does not saturate.

Source: Goodfellow et al. 2014, "Generative adversarial nets", §3 (last paragraph).

    critic     min  −E log D(x) − E log(1 − D(G(z))),   D = σ(score)
    generator  min  −E log D(G(z))
"""

from typing import ClassVar

from gm_bench.variants.base.objectives import NonSaturating


class NSGAN(NonSaturating):
    """Non-saturating GAN."""

    family: ClassVar[str] = "GAN"
    source: ClassVar[str] = "Goodfellow et al. 2014, §3"
