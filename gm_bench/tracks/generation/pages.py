"""How results of generated images are shown: protocol, likelihoods, words, sample pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from gm_bench import io
from gm_bench.cell import DATA, REFERENCE
from gm_bench.metrics.catalogue import LIKELIHOOD
from gm_bench.metrics.memorisation import Leak
from gm_bench.report.display import Samples
from gm_bench.report.formatting import count
from gm_bench.results.leaderboard import Entry, Leaderboard
from gm_bench.results.schema import FLOOR, OK, CellResult
from gm_bench.results.verdict import TOLD, Finding, Row, few_images, in_words, missing_in_all, verdict
from gm_bench.tracks.generation import shown

Json = Mapping[str, Any]
GIVEN = "given the class"  # how what is said of conditional variants begins
MARKS = "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲ"


def summary(board: Leaderboard, dataset: str) -> str:
    """What stands beside the dataset's name."""
    protocol = board.protocols[dataset]
    return f"N = {protocol['n_samples']:,}, features of {protocol['extractor']['name']}"


def protocol_in_words(board: Leaderboard, dataset: str) -> list[str]:
    """What the numbers of a dataset depend on, one sentence a line."""
    protocol, names = board.protocols[dataset], board.metrics(dataset)
    extractor, n, draws = protocol["extractor"], protocol["n_samples"], protocol["draws"]
    scope = (
        "comparable wherever these images and this protocol are used"
        if extractor["comparable"] == "everywhere"
        else f"made for this dataset: numbers comparable {extractor['comparable']} only"
    )
    return [
        f"N = {n:,}: each value compares {n:,} generated images with {n:,} real ones of the "
        f"{protocol['split']} split and is the mean over {count(draws, 'independent draw')} per seed.",
        f"{FLOOR}: the same metrics of as many real training images in place of samples. Its ± is over "
        f"{count(protocol['floor_splits'], 'random split')} of the same {n + protocol['n_train']:,} training "
        "and held-out images, mixed, into two such sets, class by class (no ± where the floor is fixed).",
        "1-NN: leave-one-out accuracy of telling generated from real, best one half; 1-NN train: the same "
        f"against the first {n:,} training images, below one half where these are copied.",
        f"Extractor: {extractor['name']}, sha256 {extractor['sha256'][:12]}, "
        f"{extractor['features']} features, {scope}.",
        f"Preprocessing: {protocol['preprocessing']}; {protocol['dtype']}, "
        f"TF32 {'on' if protocol['tf32'] else 'off'}.",
        f"Estimates: {_score_in_words(protocol, names)}"
        f"KID over {count(protocol['kid_subsets'], 'subset')} of {protocol['kid_subset_size']:,}; "
        f"precision, recall, density and coverage with {count(protocol['neighbours'], 'neighbour')}; "
        f"FID∞ through {count(protocol['fid_subsets'], 'size')} of subsets.",
        f"Memorisation: against {protocol['n_train']:,} images that training was shown; duplicates are "
        f"nearer to one of them than {protocol['duplicate_quantile']:.0%} of the held-out images are.",
        *_likelihood_in_words(board, dataset),
        "Versions: " + ", ".join(f"{name} {version}" for name, version in protocol["versions"].items()) + ".",
    ]


def _score_in_words(protocol: Json, names: Sequence[str]) -> str:
    """What the classifier score is over, a clause; empty where the extractor tells no classes apart."""
    titles = {"inception_score": "Inception Score", "classifier_score": "classifier score"}
    found = [title for name, title in titles.items() if name in names]
    if not found:
        return ""
    # Without the data's own classes the extractor's are those of what it was trained on.
    name = protocol["extractor"]["name"]
    classes = "" if "classes_hit" in names else f" and the classes of {name}, not the data's"
    return f"{found[0]} over {count(protocol['score_splits'], 'split')}{classes}; "


def notes(board: Leaderboard, dataset: str) -> list[str]:
    """What makes the numbers of a dataset less than they seem, and which rows are not of the last model."""
    leaking = _leak(dataset)
    return [
        *([f"{FLOOR}: {leaking}."] if leaking else []),
        *_few_images(board.protocols[dataset]),
        *_of_classes(board, dataset),
        *_of_snapshots(board, dataset),
    ]


def _leak(dataset: str) -> str:
    """What is said of held-out images with a near duplicate among the training images; empty for none."""
    path = REFERENCE / dataset / "floor.json"
    record = io.read_json(path).get("leak") if path.exists() else None
    return Leak(**record).sentence if record else ""


def _of_classes(board: Leaderboard, dataset: str) -> list[str]:
    """Which variants are given more than the others, where the extractor knows the dataset's classes."""
    told = ", ".join(entry.variant for entry in board.with_metric(dataset, "class_accuracy"))
    by = "a network that was trained to tell these classes"
    return [f"{told}: {GIVEN} of each image to draw, and measured by {by}."] if told else []


def _few_images(protocol: Json) -> list[str]:
    """What fewer images than features do to FID."""
    n, n_features = protocol["n_samples"], protocol["extractor"]["features"]
    if n >= n_features:
        return []
    return [few_images(n, n_features)]


def _of_snapshots(board: Leaderboard, dataset: str) -> list[str]:
    return [
        f"{entry.variant}*: the snapshot with the least FID against validation images is reported, after "
        + ", ".join(f"{images:,} images (seed {seed})" for seed, images in picked(entry).items())
        + ", and not the last model."
        for entry in board.entries[dataset]
        if picked(entry)
    ]


def verdicts(board: Leaderboard, dataset: str) -> dict[str, list[str]]:
    """Of each variant with numbers what they say in words, over its seeds and draws together.

    That several can be told from real images is said once, of all of them: the table has their numbers.
    """
    found = _findings(board, dataset)
    told = [variant for variant, findings in found.items() if findings[-1].kind == TOLD]
    said = {}
    if len(told) > 1:
        others = ", ".join(variant for variant in found if variant not in told)
        n = board.protocols[dataset]["n_samples"]
        by = "one at least of 1-NN, FID, precision, recall and coverage"
        said[f"all but {others}" if others else "all"] = [f"Told from real images at N = {n:,}, by {by}."]
        found |= {variant: found[variant][:-1] for variant in told}
    return said | {variant: [each.sentence for each in rest] for variant, rest in found.items() if rest}


def _findings(board: Leaderboard, dataset: str) -> dict[str, list[Finding]]:
    """Those of each variant that has any."""
    n, draws = board.protocols[dataset]["n_samples"], board.protocols[dataset]["draws"]
    shares = _class_shares(dataset)
    found = {}
    for entry in board.entries[dataset]:
        drawn = [entry.details.get(seed, {}).get("missing_classes", [[]]) for seed in entry.finished]
        row = Row(
            values={name: score.mean for name, score in entry.metrics.items()},
            floor=board.floors[dataset],
            floor_sd=board.floor_sds[dataset],
            n=n,
            missing=missing_in_all(names for draw in drawn for names in draw),
            shares=shares,
            n_drawn=n * draws * len(drawn),
        )
        found[entry.variant] = verdict(row)
    return {variant: findings for variant, findings in found.items() if findings}


def cell_verdict(result: CellResult, floor: Mapping[str, float], floor_sd: Mapping[str, float]) -> list[str]:
    """What the metrics of one cell say in words, over its draws together."""
    n, missing = result.protocol["n_samples"], result.details.get("missing_classes", ())
    values = {name: result.mean(name) for name in result.values}
    shares = _class_shares(result.dataset)
    return in_words(Row(values, floor, floor_sd, n, missing_in_all(missing), shares, n * len(missing)))


def _class_shares(dataset: str) -> dict[str, float] | None:
    """Class → its share of the training images; None where there is no card."""
    path = DATA / dataset / "card.json"
    if not path.exists():
        return None
    counts = io.read_json(path).get("counts_per_class", {}).get("train", {})
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()} if total else None


def picked(entry: Entry) -> dict[int, int]:
    """Images shown before the snapshot that is reported, by seed; empty where the last model is."""
    return {
        seed: details["checkpoint"]["images"]
        for seed, details in entry.details.items()
        if seed not in entry.divergences and "images" in details["checkpoint"]
    }


def starred(entry: Entry) -> bool:
    return bool(picked(entry))


def row_facts(board: Leaderboard, entry: Entry) -> Json:
    """What the likelihoods of a row are of, and which model it reports."""
    first = entry.details[entry.seeds[0]]
    images = list(picked(entry).values())
    checkpoint = {"rule": first["checkpoint"]["rule"]} | ({"images": images} if images else {})
    return {"density": first["density"], "checkpoint": checkpoint}


def marks(board: Leaderboard, dataset: str) -> dict[tuple[str, str], str]:
    """The sign behind each likelihood: the same sign, the same kind of density."""
    return {
        (variant, metric): mark
        for mark, variants in zip(MARKS, _densities(board, dataset).values(), strict=False)
        for variant in variants
        for metric in board.catalogue.group(LIKELIHOOD)
    }


def _densities(board: Leaderboard, dataset: str) -> dict[str, list[str]]:
    """What likelihoods are of → the variants whose likelihood is of that."""
    kinds: dict[str, list[str]] = {}
    for entry in board.entries[dataset]:
        if any(metric in entry.metrics for metric in board.catalogue.group(LIKELIHOOD)):
            kinds.setdefault(entry.details[entry.seeds[0]]["density"], []).append(entry.variant)
    return dict(sorted(kinds.items()))


def _likelihood_in_words(board: Leaderboard, dataset: str) -> list[str]:
    """What the ELBO is of, where there is one."""
    kinds = _densities(board, dataset)
    if not kinds:
        return []
    protocol = board.protocols[dataset]
    said = "; ".join(
        f"{mark} {kind}: {', '.join(names)}"
        for mark, (kind, names) in zip(MARKS, kinds.items(), strict=False)
    )
    return [
        f"Likelihood: ELBO and importance-weighted bound of log p, mean over {protocol['bound_images']:,} "
        f"test images with {count(protocol['bound_codes'], 'code')} each, in nats per image. Only values of "
        f"one letter can be compared. {said}."
    ]


def failures(result: CellResult) -> list[str]:
    """Classes that no sample of a draw is taken for."""
    return [
        f"No sample of draw {i} is taken for class {', '.join(map(str, names))}."
        for i, names in enumerate(result.details.get("missing_classes", ()))
        if names
    ]


def cell_facts(result: CellResult) -> list[tuple[str, str]]:
    """What the cell's likelihood is of, where it has one."""
    kind = result.details.get("density")
    return [("likelihood", kind)] if kind else []


def samples(result: CellResult) -> Samples:
    """The first samples of the first draw, and those from the same codes while the cell trained.

    Raises:
        FileError: a file is missing or damaged.
    """
    drawn = None
    if result.status == OK:
        drawn = shown.read(result.cell, shown.first(result))
    snapshots, metadata = io.read_tensors(result.cell.folder / "snapshots.safetensors")
    images = snapshots["images"]
    return Samples(drawn, images if len(images) else None, tuple(metadata["images_shown"]))


def real(dataset: str, n: int) -> Tensor:
    """n images of the test split, evenly spread, uint8 (n, C, H, W).

    Raises:
        FileError: the file is missing or damaged.
    """
    return io.read_rows(DATA / dataset / "test.safetensors", "images", n)
