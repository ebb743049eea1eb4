"""The verdict in words: made cases of embedded digits are called what they are, and real ones nothing."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from gm_bench.config import load_params
from gm_bench.data.dataset import load
from gm_bench.data.split import hold_out
from gm_bench.metrics.extractors.features import Features, extract
from gm_bench.metrics.extractors.lenet import LeNetExtractor
from gm_bench.results.protocol import Protocol
from gm_bench.results.verdict import (
    BLURRED,
    COLLAPSE,
    COPIES,
    MISSING,
    NOISE,
    REAL,
    REPEATS,
    TOLD,
    UNLIKE,
    Row,
    missing_in_all,
    verdict,
)
from gm_bench.tracks.generation.evaluation import (
    Reference,
    all_metrics,
    floor,
    floor_spread,
    make_reference,
    missing_classes,
)

N = 400
CPU = torch.device("cpu")


@cache
def digits() -> tuple[Tensor, Tensor, Tensor]:
    """Held-out images, as many others, and training images."""
    entry = load_params().dataset("digits")
    data = load(entry.source.loader, **entry.source.options)
    order = torch.randperm(len(data.test_images), generator=torch.Generator().manual_seed(0))
    shown, _ = hold_out(data.train_labels, entry.n_validation)
    return data.test_images[order[:N]], data.test_images[order[N:]], data.train_images[shown]


@cache
def standard() -> tuple[Protocol, Reference, dict[str, float], dict[str, float], dict[str, float]]:
    """Protocol, reference, floor, its spread, and the share of each class."""
    entry = load_params().dataset("digits")
    config = entry.protocol.model_copy(update={"n_samples": N, "kid_subset_size": 200, "floor_splits": 4})
    data = load(entry.source.loader, **entry.source.options)
    held_out, _, train = digits()
    shown, _ = hold_out(data.train_labels, entry.n_validation)
    labels = data.train_labels[shown]
    reference = make_reference(held_out, seen(held_out), seen(train), config, CPU, labels)
    pool = torch.cat([train, held_out])
    spread = floor_spread(pool, torch.zeros(len(pool), dtype=torch.int64), reference, config, CPU)
    shares = {str(i): float((labels == i).double().mean()) for i in range(10)}
    return config, reference, floor(train, reference, config, CPU), spread, shares


def seen(images: Tensor) -> Features:
    return extract(LeNetExtractor.of_package("digits", (1, 8, 8))[1], images, CPU)


def row_of(images: Tensor) -> Row:
    config, reference, of_real, spread, shares = standard()
    features = seen(images)
    missing = [str(label) for label in missing_classes(features, reference)]
    values = all_metrics(features, images, reference, config, CPU)
    return Row(values, of_real, spread, N, missing, shares)


def blurred() -> Tensor:
    return avg_pool2d(digits()[1].float(), 3, 1, 1, count_include_pad=False).round().to(torch.uint8)


def without_threes() -> Tensor:
    """What is taken for a three is left out; a few held-out images stand in its place, which are copies."""
    held_out, fresh, _ = digits()
    others = torch.cat([fresh, held_out])
    return others[seen(others).logits.argmax(dim=1) != 3][:N]


def jittered() -> Tensor:
    """Twenty images with a little noise, twenty times: no two are equal."""
    noise = torch.randn(N, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 6
    return (digits()[1][:20].repeat(20, 1, 1, 1) + noise).clamp(0, 255).round().to(torch.uint8)


def with_copies(n: int, n_originals: int) -> Tensor:
    """So many of them are training images, each of the originals equally often, with a little noise."""
    noise = torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(5)) * 4
    originals = digits()[2][200 : 200 + n_originals].repeat(n // n_originals, 1, 1, 1)
    copies = (originals + noise).clamp(0, 255).round().to(torch.uint8)
    return torch.cat([copies, digits()[1][n:]])


def noise() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (N, 1, 8, 8), generator=generator).to(torch.uint8)


CASES = {
    "real images": (lambda: digits()[1], {REAL}),
    "twenty images": (lambda: digits()[1][:20].repeat(20, 1, 1, 1), {REPEATS, COLLAPSE, MISSING, TOLD}),
    "twenty images with noise": (jittered, {COLLAPSE, MISSING, TOLD}),
    "training images": (lambda: digits()[2][:N], {COPIES}),
    "half of them training images": (
        lambda: torch.cat([digits()[2][: N // 2], digits()[1][: N // 2]]),
        {COPIES},
    ),
    "one in twenty a training image with noise": (lambda: with_copies(20, 20), {COPIES}),
    "half of them ten training images with noise": (lambda: with_copies(200, 10), {COPIES, TOLD}),
    "all of them twenty training images with noise": (
        lambda: with_copies(400, 20),
        {COLLAPSE, COPIES, TOLD},
    ),
    "the held-out images": (lambda: digits()[0], {COPIES}),
    "no threes": (without_threes, {MISSING, COPIES, TOLD}),
    "blurred": (blurred, {BLURRED, MISSING, UNLIKE, TOLD}),
    "uniform noise": (noise, {NOISE, MISSING, TOLD}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_made_case_is_called_what_it_is_and_nothing_else(name: str) -> None:
    images, kinds = CASES[name]
    assert {finding.kind for finding in verdict(row_of(images()))} == kinds


@pytest.mark.parametrize("name", ["real images", "twenty images", "uniform noise", "training images"])
def test_the_same_is_said_where_the_spread_of_the_floor_is_not_known(name: str) -> None:
    """As for real images of one's own."""
    images, kinds = CASES[name]
    assert {finding.kind for finding in verdict(replace(row_of(images()), floor_sd={}))} == kinds


def test_each_sentence_has_its_number() -> None:
    said = {finding.kind: finding.sentence for finding in verdict(row_of(CASES["twenty images"][0]()))}
    assert said[REPEATS] == "Repeats: 20 distinct images among 400 (5.0%; of real images 100%)."
    assert said[COLLAPSE].startswith("Collapse: coverage 0.")
    (copies,) = verdict(row_of(digits()[2][:N]))
    assert copies.sentence == (
        "Copies of training images: 100% of the samples lie far nearer to one than to any held-out image "
        "(of held-out images 0.8%), 100% are one exactly."
    )


def made(**values: float) -> Row:
    """A row like the floor but for what is given."""
    of_real = {
        "fid": 1.0, "one_nn": 0.5, "one_nn_fake": 0.5, "precision": 0.9, "recall": 0.9, "coverage": 0.9,
        "sharpness": 1.0, "duplicates_exact": 0.0, "distinct": 1.0, "classes_hit": 3.0, "copied": 0.001,
        "copied_held_out": 0.001,
    }  # fmt: skip
    return Row({**of_real, **values}, of_real, {}, 1000)


def kinds(row: Row) -> set[str]:
    return {finding.kind for finding in verdict(row)}


def test_a_class_that_real_images_of_this_number_might_lack_too_is_not_missed() -> None:
    row = replace(made(classes_hit=2.0), missing=["rare"], shares={"rare": 0.002, "common": 0.998})
    assert kinds(row) == {REAL}  # 1,000 images lack it with a chance of one in seven
    assert kinds(replace(row, n_drawn=5000)) == {MISSING, REAL} - {REAL}
    assert kinds(replace(row, shares={"rare": 0.02, "common": 0.98})) == {MISSING}


def test_a_class_that_the_extractor_never_sees_in_real_images_is_not_missed() -> None:
    assert kinds(replace(made(), missing=["never seen"])) == {REAL}


def test_repeats_that_real_images_have_too_are_none() -> None:
    row = made(distinct=0.80)
    assert kinds(row) == {REPEATS}
    assert kinds(replace(row, floor={**row.floor, "distinct": 0.81})) == {REAL}


def test_a_difference_within_noise_says_nothing_and_more_images_make_it_say_something() -> None:
    row = made(one_nn=0.54, precision=0.88)
    assert kinds(row) == {REAL}
    assert kinds(replace(row, n=20_000)) == {TOLD}


def test_the_spread_of_the_floor_widens_what_is_noise() -> None:
    """Three of √2 · .048 are .204."""
    row = made(sharpness=0.8)
    assert kinds(row) == {BLURRED}
    assert kinds(replace(row, floor_sd={"sharpness": 0.048})) == {REAL}
    assert kinds(replace(row, floor_sd={"sharpness": 0.046})) == {BLURRED}


def test_a_spread_is_shown_as_it_is_and_never_as_none() -> None:
    row = replace(made(one_nn=0.8, one_nn_fake=0.8, fid=4.0), floor_sd={"one_nn": 0.0036, "fid": 0.02})
    (told,) = verdict(row)
    assert told.sentence == (
        "Told from real images at N = 1,000: 1-NN 0.80 (real images 0.50 ± 0.004), "
        "FID 4.00 (real images 1.00 ± 0.02)."
    )


def test_samples_that_are_varied_and_unlike_real_ones_have_not_collapsed() -> None:
    """The numbers of an LSGAN and of a WGAN-GP that draws next to one image, both after photographs."""
    told = {"one_nn": 0.89, "one_nn_fake": 0.98, "recall": 0.06, "precision": 0.8}
    assert kinds(made(**told, coverage=0.42)) == {TOLD}
    assert kinds(made(**told, coverage=0.13)) == {COLLAPSE, TOLD}


def test_samples_far_nearer_to_training_images_than_to_held_out_ones_are_copies() -> None:
    """In 1,000 images 4 √(2 · .01 · .99 / 1000) = .0178 is noise; in 100,000 the least share decides."""
    assert kinds(made(copied=0.0190)) == {COPIES}
    assert kinds(made(copied=0.0186)) == {REAL}
    assert kinds(replace(made(copied=0.0061), n=100_000)) == {COPIES}
    assert kinds(replace(made(copied=0.0059), n=100_000)) == {REAL}
    assert kinds(replace(made(copied=0.0290), floor_sd={"copied": 0.005})) == {REAL}
    assert kinds(replace(made(copied=0.0295), floor_sd={"copied": 0.005})) == {COPIES}
    row = made(copied=0.02)
    without = {name: value for name, value in row.floor.items() if name != "copied"}
    assert kinds(replace(row, floor=without)) == {COPIES}, "a floor of an earlier version"


def test_held_out_images_that_are_copied_are_told_apart() -> None:
    assert len(verdict(made(copied=0.03, copied_held_out=0.03))) == 2, "a model that saw both"
    (found,) = verdict(made(copied_held_out=0.03))
    assert found.sentence == (
        "Copies of the held-out images that they are compared with: 3.0% of the samples lie far nearer to "
        "one than to any training image (of other held-out images 0.1%)."
    )
    assert kinds(made(copied_held_out=0.0186)) == {REAL}


def test_repeats_of_one_sample_near_a_training_image_are_no_copies() -> None:
    """One of twenty lies there by chance: five per cent of a thousand repeats."""
    assert COPIES in kinds(made(copied=0.05))
    assert COPIES not in kinds(made(copied=0.05, distinct=0.02))
    assert COPIES in kinds(made(copied=1.0, distinct=0.02))


def test_samples_near_training_and_held_out_images_alike_are_no_copies() -> None:
    """The numbers of an SNGAN after 1,000,000 photographs, whose textures lie near to plain images."""
    near = {"one_nn": 0.98, "one_nn_fake": 0.98, "recall": 0.06, "coverage": 0.51, "duplicates": 0.037}
    assert kinds(made(**near)) == {TOLD}


def test_few_repeats_are_within_the_least_share_or_the_noise_of_few_images() -> None:
    """One in a hundred; of 100 images 3 √(2 · .99 · .01 / 100) = .0422."""
    assert kinds(made(distinct=0.9901)) == {REAL}
    assert kinds(made(distinct=0.9899)) == {REPEATS}
    assert kinds(replace(made(distinct=0.959), n=100)) == {REAL}
    assert kinds(replace(made(distinct=0.957), n=100)) == {REPEATS}


def test_samples_are_unlike_real_ones_where_half_of_their_precision_is_gone_beyond_noise() -> None:
    """Half of .9; of a floor of .02 and 100 images 3 √(2 · .02 · .98 / 100) = .059 is noise."""
    assert kinds(made(precision=0.451)) == {TOLD}
    assert kinds(made(precision=0.449)) == {UNLIKE, TOLD}
    row = made(precision=0.005)
    assert kinds(replace(row, n=100, floor={**row.floor, "precision": 0.02})) == {REAL}


def test_a_collapse_is_narrow_crowded_and_among_real_images_or_of_repeats() -> None:
    told = {"one_nn": 0.95, "one_nn_fake": 0.9, "recall": 0.06, "coverage": 0.13, "precision": 0.8}
    assert kinds(made(**told)) == {COLLAPSE, TOLD}
    assert kinds(made(**told | {"one_nn_fake": 0.899})) == {TOLD}
    assert kinds(made(**told | {"recall": 0.8})) == {TOLD}
    assert kinds(made(**told | {"precision": 0.2})) == {UNLIKE, TOLD}
    assert kinds(made(**told | {"precision": 0.2, "distinct": 0.5})) == {REPEATS, COLLAPSE, UNLIKE, TOLD}


def test_of_collapsed_samples_as_many_count_for_copies_as_they_cover() -> None:
    """Of twenty, one at least: 4 √(2 · .05 · .95 / (.02 · 1000)) = .276."""
    told = {"one_nn": 0.95, "recall": 0.06, "coverage": 0.02, "precision": 0.8}
    assert kinds(made(**told, one_nn_fake=0.98, copied=0.27)) == {COLLAPSE, TOLD}
    assert kinds(made(**told, one_nn_fake=0.98, copied=0.28)) == {COLLAPSE, COPIES, TOLD}
    assert kinds(made(**told, one_nn_fake=0.80, copied=0.27)) == {COPIES, TOLD}


def test_samples_that_lie_nearer_to_held_out_images_than_these_to_one_another_are_copies() -> None:
    """A tenth below one half; of 100 images 3 √(2 · .25 / 100) = .212 below."""
    assert kinds(made(one_nn=0.401)) == {REAL}
    assert kinds(made(one_nn=0.399)) == {COPIES}
    assert kinds(replace(made(one_nn=0.29), n=100)) == {REAL}
    assert kinds(replace(made(one_nn=0.28), n=100)) == {COPIES}


def test_a_class_is_missed_where_chance_leaves_any_of_them_out_in_one_of_a_hundred_sets() -> None:
    """2 (1 − p)^1000 is .0109 at .0052 and .0089 at .0054."""
    row = replace(made(classes_hit=2.0), missing=["rare"])
    for share, found in ((0.0052, REAL), (0.0054, MISSING)):
        assert kinds(replace(row, shares={"rare": share, "common": 1 - share})) == {found}


def test_classes_hit_have_a_noise_too() -> None:
    """3 √2 · .1 = .424."""
    for hit, found in ((2.58, REAL), (2.57, MISSING)):
        row = replace(made(classes_hit=hit), missing=["a"], floor_sd={"classes_hit": 0.1})
        assert kinds(row) == {found}


def test_five_missing_classes_are_named() -> None:
    row = made(classes_hit=4.0)
    row = replace(row, floor={**row.floor, "classes_hit": 10.0}, missing=list("abcdef"))
    (found,) = verdict(row)
    assert found.sentence == (
        "Missing classes: none of 1,000 samples is taken for a, b, c, d, e, … (6 of 10 that real images "
        "show)."
    )
    (found,) = verdict(replace(row, missing=list("abcde")))
    assert "taken for a, b, c, d, e (5 of 10" in found.sentence


def test_noise_is_sharper_than_real_images_and_unlike_them() -> None:
    assert kinds(made(sharpness=1.5)) == {REAL}
    assert kinds(made(sharpness=1.5, precision=0.3)) == {NOISE, TOLD}
    assert kinds(made(sharpness=1.14, precision=0.3)) == {UNLIKE, TOLD}


def test_each_comparison_alone_tells_samples_from_real_images() -> None:
    """3 √(2 · .9 · .1 / 1000) = .0402; of 1-NN at .1 3 √(.25 / 1000) = .0474; of FID 3 √2 · .1 = .424."""
    for metric in ("precision", "recall", "coverage"):
        assert kinds(made(**{metric: 0.861})) == {REAL}
        assert kinds(made(**{metric: 0.859})) == {TOLD}
    for one_nn, found in ((0.146, REAL), (0.149, TOLD)):
        row = made(one_nn=one_nn)
        assert kinds(replace(row, floor={**row.floor, "one_nn": 0.1})) == {found}
    assert kinds(made(fid=9.0)) == {REAL}, "its spread is not known"
    for fid, found in ((1.42, REAL), (1.43, TOLD)):
        assert kinds(replace(made(fid=fid), floor_sd={"fid": 0.1})) == {found}


def test_numbers_of_a_sentence_have_the_figures_that_tell() -> None:
    row = made(distinct=0.5, one_nn=0.9, fid=1500.0)
    repeats, told = verdict(replace(row, floor={**row.floor, "distinct": 0.995, "fid": 120.4}))
    assert repeats.sentence == "Repeats: 500 distinct images among 1,000 (50%; of real images 99.5%)."
    assert told.sentence == (
        "Told from real images at N = 1,000: 1-NN 0.90 (real images 0.50), FID 1,500 (real images 120)."
    )


def test_a_row_without_metrics_has_no_verdict() -> None:
    assert verdict(Row({}, {"one_nn": 0.5}, {}, 800)) == []


def test_a_class_is_missing_where_every_draw_lacks_it() -> None:
    assert missing_in_all([["3", "5"], ["5", "7"]]) == ["5"]
    assert missing_in_all([]) == []
