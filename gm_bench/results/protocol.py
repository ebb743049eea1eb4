"""What must be equal for two numbers to be compared."""

from importlib.metadata import version
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from gm_bench.metrics import extractors
from gm_bench.options import PositiveInt

DTYPE = "features float32, metrics float64"
# Draws the subsets of KID and FID∞ and the order in which the classifier score is split.
SEED = 2020
# Metrics that are no distance between sets of images: bounds of a model's log-likelihood of held-out ones.
LIKELIHOOD = ("elbo", "iw_bound")


def _known(extractor: str) -> str:
    if extractor not in extractors.names():
        allowed = " or ".join(f"'{name}'" for name in extractors.names())
        raise PydanticCustomError("unknown_extractor", "Input should be {allowed}", {"allowed": allowed})
    return extractor


AtLeastTwo = Annotated[int, Field(ge=2, strict=True)]


class Protocol(BaseModel):
    """Everything that a metric depends on besides the samples, as params.yaml says it of a dataset.

    `extractor` is the name of a file of gm_bench/metrics/extractors; `n_train` training images are searched
    for copies, at least as many as there are samples; FID∞ is fitted through `fid_subsets` sizes, N to
    N / fid_subsets; a sample nearer to a training image than the `duplicate_quantile` of held-out images is a
    near duplicate; the bounds of a model's log-likelihood are of `bound_images` held-out images with
    `bound_codes` codes each; the floor's spread is over `floor_splits` random splits of the real images that
    are compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    extractor: Annotated[str, AfterValidator(_known)]
    n_samples: AtLeastTwo
    n_train: AtLeastTwo
    draws: PositiveInt
    score_splits: PositiveInt
    kid_subsets: PositiveInt
    kid_subset_size: AtLeastTwo
    fid_subsets: Annotated[int, Field(ge=3, strict=True)]
    neighbours: PositiveInt
    duplicate_quantile: Annotated[float, Field(gt=0, lt=1, strict=True)]
    bound_images: PositiveInt
    bound_codes: PositiveInt
    floor_splits: AtLeastTwo


def build_protocol(
    dataset: str,
    config: Protocol,
    extractor: dict[str, Any],
    preprocessing: str,
    images_sha256: dict[str, str],
) -> dict[str, Any]:
    """The protocol of a dataset as records carry it.

    Args:
        config: the dataset's `protocol` in params.yaml.
        extractor: what extractor.json says.
        preprocessing: what becomes of an image before the extractor's first layer.
        images_sha256: hash of the held-out images that stand for the real ones (`test`) and of the training
            images in which copies are looked for (`train`).
    """
    return {
        "dataset": dataset,
        "n_samples": config.n_samples,
        "n_train": config.n_train,
        "draws": config.draws,
        "split": "test",
        "images_sha256": images_sha256,
        "extractor": {key: extractor[key] for key in ("name", "sha256", "features", "comparable")},
        "preprocessing": preprocessing,
        "dtype": DTYPE,
        "tf32": False,
        "score_splits": config.score_splits,
        "kid_subsets": config.kid_subsets,
        "kid_subset_size": config.kid_subset_size,
        "fid_subsets": config.fid_subsets,
        "neighbours": config.neighbours,
        "duplicate_quantile": config.duplicate_quantile,
        "bound_images": config.bound_images,
        "bound_codes": config.bound_codes,
        "floor_splits": config.floor_splits,
        "seed": SEED,
        "versions": {
            "torch": _public("torch"),
            "torch_fidelity": _public("torch-fidelity"),
            "numpy": _public("numpy"),
        },
    }


def same_protocol(a: dict[str, Any], b: dict[str, Any]) -> str | None:
    """None where two protocols are equal, else the first difference: key and both values."""
    left, right = _flat(a), _flat(b)
    for key in [*left, *(key for key in right if key not in left)]:
        one, other = left.get(key, "absent"), right.get(key, "absent")
        if one != other:
            return f"{key} is {one} against {other}"
    return None


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _public(package: str) -> str:
    """The version without the build's suffix: CPU and CUDA builds of one release are one version."""
    return version(package).partition("+")[0]
