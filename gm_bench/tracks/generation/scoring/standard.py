"""What images are judged by: the reference of a dataset, or real images of one's own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import stdev
from typing import Any

import torch
from torch import Tensor

from gm_bench import io
from gm_bench.cell import DATA, EXTRACTORS, REFERENCE
from gm_bench.config import Params
from gm_bench.data.dataset import UNLABELLED
from gm_bench.data.images import Foreign
from gm_bench.data.split import keep_every_class, stratified_split
from gm_bench.derived import most_demanding
from gm_bench.metrics.extractors import names
from gm_bench.metrics.extractors.features import Extractor, extract
from gm_bench.metrics.extractors.loading import load_extractor
from gm_bench.metrics.memorisation import leak
from gm_bench.metrics.neighbours import compare
from gm_bench.metrics.sharpness import ratio_spread
from gm_bench.nets.lenet import shape_of
from gm_bench.reproducibility import derive
from gm_bench.results.protocol import Protocol, build_protocol, same_protocol
from gm_bench.results.verdict import few_images
from gm_bench.running import boards
from gm_bench.tracks.generation.evaluation import (
    Reference,
    floor,
    make_reference,
)
from gm_bench.tracks.generation.scoring.choice import (
    LENET,
    SEED,
    borrowed_extractor,
    choose,
    labels_of,
    own_extractor,
)
from gm_bench.tracks.generation.scoring.request import ScoringError

# What images are compared under where no dataset's protocol is asked for: a protocol of its own, the same for
# any number of images, so that rows of the same real images compare. The extractor and the numbers of images
# are chosen by `own_standard`.
STANDARD = Protocol(
    extractor="lenet",
    n_samples=2,
    n_train=2,
    draws=1,
    score_splits=1,
    kid_subsets=100,
    kid_subset_size=400,
    fid_subsets=5,
    neighbours=3,
    duplicate_quantile=0.01,
    bound_images=800,
    bound_codes=64,
    floor_splits=10,
)


@dataclass(frozen=True)
class Standard:
    """What images are held against.

    Args:
        name: of the dataset, or the path of the real images.
        known: whether it is a dataset of params.yaml, with a leaderboard perhaps.
        floor: every metric of real images in the place of generated ones.
        floor_sd: its standard deviation, of the metrics whose is known.
        classes: names of the extractor's classes; empty where they are not those of the real images.
    """

    name: str
    known: bool
    config: Protocol
    protocol: Mapping[str, Any]
    extractor: Extractor
    reference: Reference
    floor: Mapping[str, float]
    floor_sd: Mapping[str, float]
    classes: tuple[str, ...]

    @property
    def warnings(self) -> list[str]:
        """What a reader of numbers under it must know."""
        n, extractor = self.config.n_samples, self.protocol["extractor"]
        said = [leak(self.reference.held_out_to_train).sentence]
        if n < extractor["features"]:
            said.append(few_images(n, extractor["features"]))
        if self.extractor.n_logits and not self.extractor.own_classes:
            said.append(
                f"the classifier score is over the {self.extractor.n_logits:,} classes of "
                f"{extractor['name']}, which are not those of these images"
            )
        return [sentence.removesuffix(".") for sentence in said if sentence]

    @property
    def class_shares(self) -> dict[str, float] | None:
        """Class → its share of the training images; None where classes are not known."""
        counts = self.reference.class_counts
        if counts is None or not self.classes:
            return None
        return dict(zip(self.classes, (counts / counts.sum()).tolist(), strict=True))


def known_standard(name: str, params: Params) -> Standard:
    """A dataset of params.yaml whose reference is there.

    Raises:
        ScoringError: the reference is missing or of another protocol; the sentence has the command.
    """
    config = params.dataset(name).protocol
    folder, of_extractor = REFERENCE / name, EXTRACTORS / name
    card = DATA / name / "card.json"
    needed = (folder / "features.safetensors", folder / "floor.json", of_extractor / "extractor.json", card)
    missing = [str(file) for file in needed if not file.exists()]
    if missing:
        raise ScoringError(f"{missing[0]} is missing: {_command(name, params)} makes it")
    tensors, made = io.read_tensors(needed[0])
    recorded = io.read_json(needed[1])
    channels, height, width = io.read_json(card)["shape"]
    info, extractor = load_extractor(of_extractor, (channels, height, width))
    protocol = build_protocol(name, config, info, extractor.preprocessing, made["protocol"]["images_sha256"])
    for other in (made["protocol"], recorded["protocol"]):
        difference = same_protocol(protocol, other)
        if difference:
            raise ScoringError(
                f"{folder} was made under another protocol ({difference}): "
                f"{_command(name, params, difference)} brings it up to date"
            )
    return Standard(
        name,
        True,
        config,
        protocol,
        extractor,
        Reference.from_tensors(tensors),
        recorded["values"],
        recorded["sd"],
        tuple(made.get("classes", ())),
    )


def own_standard(
    real: Foreign,
    path: Path,
    n_fakes: int,
    choice: str,
    constants: Protocol,
    device: torch.device,
    say: Callable[[str], None],
    kept: Path = EXTRACTORS,
    n: int | None = None,
) -> Standard:
    """Real images of one's own as the standard: half of them held out, half in the place of training images.

    Where a classifier is trained for it, that takes half of the images and they are compared with nothing: a
    small set is soon known by heart, and what the extractor knows by heart looks unlike everything else.
    The numbers compare only with those of other images against the same standard.

    Args:
        real: at least twice as many as are compared, four times where a classifier is trained.
        path: where they came from.
        n_fakes: how many images there are to be judged; so many are compared, or all held-out ones.
        choice: a file of gm_bench/metrics/extractors ("lenet" is trained on the labels of half of the
            images), a dataset whose extractor is there, or "auto" (`choice.choose`).
        constants: the protocol whose subsets, splits and neighbours are used; KID's subsets are at most n/2.
        say: told what "auto" comes to, and before a classifier is trained, which takes minutes.
        kept: where a classifier that was trained is kept.
        n: images to compare; None for as many as there are on both sides.

    Raises:
        ScoringError: too few images, no labels to train on, or no such extractor.
        DataError: a classifier is to be trained and a class is too small to be in both halves.
    """
    labels = real.labels
    strata = labels if labels is not None else torch.full((len(real.images),), UNLABELLED)
    choice = choose(choice, shape_of(real.images), labels is not None, say)
    trains = choice == LENET
    parts = 4 if trains else 2
    reason, least = most_demanding(constants)
    if (n_held_out := _n_held_out(len(real.images), trains)) < least:
        raise ScoringError(
            f"{path} holds {len(real.images):,} images, of which {n_held_out:,} would be held out to be "
            f"compared with: too few, {reason} needs at least {least}, so give {parts * least:,} or more"
        )
    compared = torch.arange(len(real.images))
    taught = compared[:0]
    if trains:
        compared, taught = _taught(real, path)
    train, held_out = (compared[p] for p in stratified_split(strata[compared], len(compared) // 2, SEED))
    most = min(n_fakes, len(held_out))
    if n is not None and n > most:
        raise ScoringError(
            f"--n is {n:,} but {n_fakes:,} images stand against {len(held_out):,} held-out ones of {path}: "
            f"at most {most:,}"
        )
    n = n or most
    if n < least:
        raise ScoringError(
            f"{n_fakes:,} images against {len(held_out):,} held-out ones of {path}: too few, {reason} needs "
            f"at least {least} on either side"
        )
    config = constants.model_copy(
        update={
            "extractor": choice if choice in names() else LENET,
            "n_samples": n,
            "n_train": len(train),
            "draws": max(1, n_fakes // n),
            "kid_subset_size": min(constants.kid_subset_size, n // 2),
        }
    )
    generator = torch.Generator().manual_seed(derive(SEED, "scoring/real"))
    held_out = held_out[torch.randperm(len(held_out), generator=generator)[:n]]
    train = train[torch.randperm(len(train), generator=generator)]
    images, seen_images = real.images[held_out], real.images[train]
    if choice in names():
        info, extractor = own_extractor(real, taught, compared, choice, path, device, say, kept)
    else:
        info, extractor = borrowed_extractor(choice, shape_of(images))
        config = config.model_copy(update={"extractor": info["name"]})
    reference = make_reference(
        images,
        extract(extractor, images, device),
        extract(extractor, seen_images, device),
        config,
        device,
        labels if trains else None,
    )
    hashes = {"test": io.sha256_tensor(images), "train": io.sha256_tensor(seen_images)}
    protocol = build_protocol(str(path), config, info, extractor.preprocessing, hashes)
    values = floor(seen_images, reference, config, device)
    classes = real.classes if trains else ()
    spread = {**_neighbour_spread(reference, config, device), "sharpness": ratio_spread(images)}
    return Standard(str(path), False, config, protocol, extractor, reference, values, spread, classes)


def _neighbour_spread(reference: Reference, config: Protocol, device: torch.device) -> dict[str, float]:
    """Standard deviation, over `floor_splits` random halves of the real images, of what a verdict is told by.

    As `evaluation.floor_spread`, of the neighbours' metrics alone: FID and KID of 1,280 features take most of
    the time there.
    """
    pool = torch.cat([reference.train.features, reference.held_out.features]).to(device)
    n = len(reference.held_out.features)
    generator = torch.Generator().manual_seed(derive(SEED, "scoring/spread"))
    splits = []
    for _ in range(config.floor_splits):
        order = torch.randperm(len(pool), generator=generator).to(device)
        near = compare(pool[order[:n]], pool[order[n : 2 * n]], config.neighbours)
        splits.append(
            {
                "precision": near.manifold.precision,
                "recall": near.manifold.recall,
                "coverage": near.balls.coverage,
                "one_nn": near.accuracy.overall,
            }
        )
    return {name: stdev(values[name] for values in splits) for name in splits[0]}


def _n_held_out(n: int, trains: bool) -> int:
    """Half of the images, or of the half that trains no classifier."""
    return (n - n // 2 if trains else n) // 2


def _taught(real: Foreign, path: Path) -> tuple[Tensor, Tensor]:
    """Places of the images that are compared, and of those that a classifier is trained with.

    Raises:
        ScoringError: fewer than two classes.
        DataError: a class is too small to be in both.
    """
    labels = labels_of(real, path)
    other = "give --extractor efficientnet_lite0, or a dataset of such images whose extractor is there"
    if len(labels.unique()) < 2:
        raise ScoringError(
            f"the images of {path} are all of one class ({', '.join(real.classes)}), and a classifier needs "
            f"two or more: put images of another class beside them, or {other}"
        )
    compared, taught = stratified_split(labels, len(labels) // 2, SEED)
    half = f"the half of {path} that"
    keep_every_class(labels, taught, real.classes, f"{half} is compared", other, "to train a classifier with")
    keep_every_class(labels, compared, real.classes, f"{half} trains a classifier", other, "to compare")
    return compared, taught


def _command(name: str, params: Params, difference: str = "") -> str:
    """What makes the reference of a dataset: DVC where it has the stage, else the stages one by one.

    Args:
        difference: of the protocol from that of the reference that is there. No stage depends on versions of
            packages: where they differ DVC calls the reference fresh, and has to be forced.
    """
    file = boards.file_of_dataset(params, name)
    if file == boards.MAIN or file.exists():
        force = "-f -s " if difference.startswith("versions.") else ""
        return f"dvc repro {force}{boards.address(file, f'reference@{name}')}"
    steps = (f"python -m pipelines.{stage} {name}" for stage in ("fetch", "extractor", "reference"))
    return " && ".join((f"python -m pipelines.resolve dataset {name}", *steps))
