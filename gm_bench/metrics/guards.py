"""What features must satisfy before a metric may read them."""

import torch
from torch import Tensor


def check_pair(fake: Tensor, real: Tensor, least: int = 2) -> None:
    """Refuse two sets of features that cannot be compared.

    Raises:
        ValueError: `check_features` refuses one of them, or they differ in dimension or device.
    """
    check_features(fake, "fake", least)
    check_features(real, "real", least)
    if fake.shape[1] != real.shape[1]:
        raise ValueError(
            f"fake features have {fake.shape[1]} dimensions but real ones {real.shape[1]}: "
            "both must come from the same layer of the same extractor"
        )
    if fake.device != real.device:
        raise ValueError(
            f"fake features are on {fake.device} but real ones on {real.device}: move them together"
        )


def check_features(features: Tensor, name: str, least: int = 1) -> None:
    """Refuse what is no finite (N, D) floating-point tensor of at least `least` rows.

    Raises:
        ValueError: with the name of the set and what is wrong.
    """
    if features.ndim != 2 or not features.is_floating_point() or features.shape[1] == 0:
        raise ValueError(
            f"{name} features must be floating point (N, D), not {features.dtype} {tuple(features.shape)}"
        )
    if len(features) < least:
        raise ValueError(f"{name} features have {len(features)} rows; at least {least} are needed")
    # The extremes tell, NaN among them, in a twentieth of the time that a look at every value takes.
    if not bool(torch.stack(torch.aminmax(features)).isfinite().all()):
        rows = int((~torch.isfinite(features)).any(dim=1).sum())
        raise ValueError(
            f"{name} features hold NaN or inf in {rows} of {len(features)} rows: "
            "the samples or the extractor's weights are broken"
        )
