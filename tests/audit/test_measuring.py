"""The stage measure, from files to files: what it writes is what `measure` says of all images together."""

import shutil
from pathlib import Path

import pytest
import torch

from gm_bench import io
from gm_bench.config import Params
from gm_bench.data.dataset import read_split
from gm_bench.metrics.extractors.features import Features, extract
from gm_bench.metrics.extractors.loading import load_extractor
from gm_bench.tracks.audit.measuring import Subject, measure, measure_dataset, remembering
from gm_bench.tracks.audit.settings import Audit, AuditSet

CPU = torch.device("cpu")


def test_values_are_of_both_splits_under_a_protocol_of_the_set(
    digits_with_reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Params
) -> None:
    for folder in ("data", "extractors"):
        shutil.copytree(digits_with_reference / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    size = AuditSet(n_samples=60, clean_draws=3, disturbed_draws=2)
    plan = Audit(
        datasets=["digits"], sets={"digits": size}, noise_multiple=3.0, sizes=[40], strengths={"blur": [0.16]}
    )
    config, said = params.dataset("digits").protocol, []
    measure_dataset("digits", config, plan, CPU, say=said.append)
    content = io.read_json(Path("audit/digits/values.json"))
    assert (content["schema"], content["dataset"], content["device"]) == (1, "digits", "cpu")
    assert said == [*(f"{i} of 3 repetitions of n = 60" for i in (1, 2, 3)), "sample size 40"]

    splits = [read_split(Path("data/digits"), split) for split in ("train", "test")]
    images, labels = (torch.cat(tensors) for tensors in zip(*splits, strict=True))
    _, lenet = load_extractor(Path("extractors/digits"), (1, 8, 8))
    subject = Subject(
        images, labels, lambda chosen: extract(lenet, chosen, CPU), config, CPU, own_classes=True
    )
    measured = measure(subject, plan, size, say=lambda text: None)
    assert {name: content[name] for name in measured} == measured
    assert "class_kl" in measured["clean"]

    protocol = content["protocol"]
    assert (protocol["n_samples"], protocol["n_train"], protocol["kid_subset_size"]) == (60, 60, 30)
    assert protocol["images_sha256"] == {"all": io.sha256_tensor(images)}
    assert protocol["preprocessing"] == lenet.preprocessing
    assert not {"draws", "split", "bound_images", "bound_codes", "floor_splits"} & set(protocol)


def test_an_image_that_was_seen_is_not_looked_at_again(digits_with_reference: Path) -> None:
    images, _ = read_split(digits_with_reference / "data/digits", "train")
    images = images[:50]
    _, lenet = load_extractor(digits_with_reference / "extractors/digits", (1, 8, 8))
    asked: list[int] = []

    def look(chosen: torch.Tensor) -> Features:
        asked.append(len(chosen))
        return extract(lenet, chosen, CPU)

    eye, strange = remembering(look, images), 255 - images
    for chosen, n_new in (
        (images[:20], 20),
        (images[10:40], 20),
        (images[torch.tensor([3, 3, 39, 0])], 0),
        (torch.cat([images[:5], strange[:7]]), 7),
        (torch.cat([strange[:7], images[:5]]), 7),  # nothing is kept of others
        (torch.cat([images[:5], strange[:1]]), 6),  # one alone cannot be looked at
    ):
        asked.clear()
        seen, expected = eye(chosen), extract(lenet, chosen, CPU)
        assert torch.equal(seen.features, expected.features)
        assert torch.equal(seen.logits, expected.logits)
        assert sum(asked) == n_new
