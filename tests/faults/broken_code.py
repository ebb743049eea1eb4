"""Ways to break the code on purpose: edits that a metric should show, made in a copy of this repository."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Damage:
    """An edit that makes the code wrong: `old`, which stands in `file` exactly once, becomes `new`."""

    name: str
    file: str
    old: str
    new: str


DAMAGES = [
    Damage(
        "wrong sign in a loss (wgan_gp, generator)",
        "gm_bench/variants/wgan.py",
        "return -fake.mean()\n",
        "return fake.mean()\n",
    ),
    Damage(
        "no critic updates",
        "gm_bench/training/loop.py",
        "        state.optimisers[player].step()\n",
        '        _ = player == "critic" or state.optimisers[player].step()\n',
    ),
    Damage(
        "half the learning-rate decay",
        "gm_bench/training/loop.py",
        "choice.lr * (1 - progress)",
        "choice.lr * (1 - progress / 2)",
    ),
    Damage(
        "shifted normalisation (real images 0.1 brighter)",
        "gm_bench/variants/base/contract.py",
        "values = from_uint8(values)",
        "values = 0.1 + from_uint8(values)",
    ),
    Damage(
        "frozen input layer (of every player)",
        "gm_bench/training/loop.py",
        "            parameter.grad = laid_out_as(parameter, gradient)\n",
        "            kept = parameter is not parameters[player][0]\n"
        "            parameter.grad = laid_out_as(parameter, gradient) * kept\n",
    ),
    Damage(
        "frozen output layer (of every player)",
        "gm_bench/training/loop.py",
        "            parameter.grad = laid_out_as(parameter, gradient)\n",
        "            of_output = any(parameter is last for last in parameters[player][-2:])\n"
        "            parameter.grad = laid_out_as(parameter, gradient) * (not of_output)\n",
    ),
    Damage(
        "sampling at the wrong scale (pixels up to 230)",
        "gm_bench/training/sampling.py",
        "to_uint8(samples)",
        "to_uint8((samples + 1) * 115 / 127.5 - 1)",
    ),
    Damage(
        "codes at the wrong scale (0.8 of the prior, GANs)",
        "gm_bench/variants/base/adversarial.py",
        "return self.decode(self.latent(n, generator), labels)",
        "return self.decode(0.8 * self.latent(n, generator), labels)",
    ),
    Damage(
        "always the same batch",
        "gm_bench/training/loop.py",
        "rows = order[state.images // recipe.batch_size]",
        "rows = order[0]",
    ),
    Damage(
        "same seed for every draw",
        "gm_bench/tracks/generation/drawing.py",
        'derive(seed, "sample", i)',
        'derive(seed, "sample", 0)',
    ),
    Damage(
        "decay counted in rounds",
        "gm_bench/training/loop.py",
        "_set_learning_rates(state.optimisers, recipe, state.images / job.n_images)",
        "_set_learning_rates(state.optimisers, recipe, state.rounds * recipe.batch_size / job.n_images)",
    ),
    Damage(
        "generator without decay",
        "gm_bench/training/loop.py",
        'if choice.decay == "linear":',
        'if choice.decay == "linear" and player != "generator":',
    ),
    Damage(
        "KL divided by the number of pixels",
        "gm_bench/variants/vae.py",
        "kl = kl_divergence(mu, log_variance)\n",
        "kl = kl_divergence(mu, log_variance) / x[0].numel()\n",
    ),
]  # fmt: skip


def plant(damage: Damage, folder: Path) -> None:
    """Break a copy.

    Raises:
        ValueError: the code that is to be broken is no longer what it was.
    """
    file = folder / damage.file
    text = file.read_text(encoding="utf-8")
    if text.count(damage.old) != 1:
        raise ValueError(
            f"{damage.name}: {damage.file} has {text.count(damage.old)} times {damage.old.strip()!r}, "
            "not once: adapt the damage to the code"
        )
    file.write_text(text.replace(damage.old, damage.new), encoding="utf-8")
