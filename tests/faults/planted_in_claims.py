"""Do claims notice that what they observe is broken? python tests/faults/planted_in_claims.py [--only WORD …]

Each damage is an edit of a copy: this repository is never touched. There the claim is run with seed 0 and
held against reports/claims, as `gm-bench check --board claims` does it with the claims that take seconds;
others are tried here in the same way. What was said is written to reports/gate/planted-claims.md.

Where the seeds of a quantity lie far apart the gate is blind: the test that fails instead is named.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests/faults")]

from broken_code import Damage, plant  # noqa: E402

from gm_bench import io  # noqa: E402
from gm_bench.running.gate import REGRESSION  # noqa: E402

REPORT = ROOT / "reports/gate/planted-claims.md"
COPIED = ("gm_bench", "params.yaml", "reports/claims/leaderboard.json", "reports/audit")
CRITICS = "gm_bench/tracks/diagnostics/critics.py"
CLAIMS = "gm_bench/tracks/diagnostics/claims"
CHECKS = """
import sys
from gm_bench.running import gate
from gm_bench.tracks.diagnostics import gate as of_claims
of_claims.WATCHED = (sys.argv[1],)
sys.exit(gate.check_board("claims", None))
"""
HEAD = """# Claims on broken code

`python tests/faults/planted_in_claims.py` wrote this file. Undamaged, each of these claims is as accepted.
`gm-bench check` runs those of `WATCHED`; `saturation`, `dual_value` and `parallel_lines` were tried besides.
Where the gate passes, the seeds of what is damaged lie far apart, and a test fails instead.

| claim | damage | gate | what it said |
| --- | --- | --- | --- |
"""
# Of damages that the gate cannot see: the test that does.
SEEN_BY = {
    "the penalty pulls slopes to 2": "tests/variants/test_wgan.py",
    "nothing is clipped": "tests/diagnostics/test_closed_forms.py",
}
DAMAGES: list[tuple[str, Damage]] = [
    (
        "optimal_discriminator",
        Damage(
            "fakes count half in D's loss",
            "gm_bench/variants/gan.py",
            "return softplus(-real).mean() + softplus(fake).mean()",
            "return softplus(-real).mean() + 0.5 * softplus(fake).mean()",
        ),
    ),
    (
        "optimal_discriminator",
        Damage(
            "real and fake exchanged",
            "gm_bench/variants/gan.py",
            "return softplus(-real).mean() + softplus(fake).mean()",
            "return softplus(real).mean() + softplus(-fake).mean()",
        ),
    ),
    (
        "saturation",
        Damage(
            "no spectral normalisation",
            "gm_bench/nets/network.py",
            'if self.critic_norm == "spectral":',
            'if self.critic_norm == "none at all":',
        ),
    ),
    (
        "saturation",
        Damage(
            "the penalty pulls slopes to 2",
            "gm_bench/variants/wgan_gp.py",
            "torch.lerp(fake, real, epsilon)) - 1)",
            "torch.lerp(fake, real, epsilon)) - 2)",
        ),
    ),
    (
        "dual_value",
        Damage(
            "nothing is clipped",
            CRITICS,
            "                    parameter.clamp_(-training.clip, training.clip)\n",
            "                    parameter.clamp_(-100.0, 100.0)\n",
        ),
    ),
    (
        "parallel_lines",
        Damage(
            "slopes over the batch, not of each point",
            "gm_bench/variants/wgan_gp.py",
            "return gradient.flatten(1).norm(dim=1)",
            "return gradient.flatten().norm()[None]",
        ),
    ),
    (
        "penalty_bias",
        Damage(
            "half of the penalty",
            CRITICS,
            "+ penalty * gradient_penalty(",
            "+ 0.5 * penalty * gradient_penalty(",
        ),
    ),
    (
        "elbo_and_bounds",
        Damage(
            "half of the divergence",
            "gm_bench/variants/vae.py",
            "return 0.5 * (mu.square() + log_variance.exp()",
            "return 0.25 * (mu.square() + log_variance.exp()",
        ),
    ),
    (
        "elbo_and_bounds",
        Damage(
            "codes with variance for standard deviation",
            "gm_bench/variants/vae.py",
            "return mu + (0.5 * log_variance).exp() * epsilon",
            "return mu + log_variance.exp() * epsilon",
        ),
    ),
    (
        "kde_in_high_dimension",
        Damage(
            "density of bumps of one dimension",
            "gm_bench/variants/kde.py",
            "- constant - n_pixels * bandwidth.log()",
            "- constant - bandwidth.log()",
        ),
    ),
    (
        "ascent_from_noise",
        Damage(
            "walkers go down",
            f"{CLAIMS}/ascent_from_noise.py",
            "x = x + budget.step_length * slope",
            "x = x - budget.step_length * slope",
        ),
    ),
    (
        "ascent_from_noise",
        Damage(
            "Langevin's steps without the prior",
            f"{CLAIMS}/ascent_from_noise.py",
            "budget.langevin_step * (slope + prior_slope(x))",
            "budget.langevin_step * slope",
        ),
    ),
    (
        "metrics_see",
        Damage(
            "least shift for the largest",
            f"{CLAIMS}/metrics_see.py",
            "return max(z for _, z in points(",
            "return min(z for _, z in points(",
        ),
    ),
]


def copied(folder: Path) -> Path:
    """A copy of what a claim runs and is held against."""
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return folder


def said(folder: Path, claim: str) -> tuple[int, str]:
    """Exit code of the gate on one claim in a copy, and its sentences."""
    command = [sys.executable, "-c", CHECKS, claim]
    environ = {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "COLUMNS": "1000"}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(f"{claim}: ")]
    sentences = [line.removeprefix(f"{claim}: ").partition("; if that is meant")[0] for line in lines]
    return done.returncode, "; ".join(sentences) or (done.stdout + done.stderr)[-300:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[""], help="those with one of these words in them")
    only = parser.parse_args().only
    rows, n_passed = [], 0
    for claim, damage in DAMAGES:
        if not any(word in f"{claim} {damage.name}" for word in only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            copy = copied(Path(folder))
            plant(damage, copy)
            code, words = said(copy, claim)
        caught, test = code == REGRESSION, SEEN_BY.get(damage.name)
        n_passed += not caught and test is None
        outcome = "caught" if caught else f"passes; {test or 'no test'} fails"
        words = words.replace("|", "\\|")
        rows.append(f"| {claim} | {damage.name} | {outcome} | {words} |\n")
        sys.stdout.write(rows[-1])
        sys.stdout.flush()
    if only == [""]:
        io.write_text(REPORT, HEAD + "".join(rows))
    sys.exit(bool(n_passed))


if __name__ == "__main__":
    main()
