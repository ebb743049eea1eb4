"""The audit end to end on few images: what it repeats, leaves out, and says of known failures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gm_bench import io
from gm_bench.config import Params
from gm_bench.data.dataset import load, save
from gm_bench.metrics.extractors.features import Extractor, extract
from gm_bench.metrics.extractors.loading import load_extractor
from gm_bench.running import resolve
from gm_bench.tracks.audit.detection import judge_all
from gm_bench.tracks.audit.measuring import Subject, check_strengths, config_at, measure
from gm_bench.tracks.audit.report import figure, to_json, to_markdown
from gm_bench.tracks.audit.settings import Audit, AuditSet
from pipelines import extractor
from pipelines.audit import report

CPU = torch.device("cpu")
STRENGTHS = {"dropped_classes": [2, 5, 9], "copies": [0.5, 1.0], "blur": [0.16], "collapse": [20.0]}
SIZE = AuditSet(n_samples=100, clean_draws=5, disturbed_draws=2)


def plan(**strengths: list[float]) -> Audit:
    return Audit(
        datasets=["digits"], sets={"digits": SIZE}, noise_multiple=3.0, sizes=[40, 5000], strengths=strengths
    )


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Subject:
    """All digits and their pinned extractor."""
    source = params.dataset("digits").source
    digits = load(source.loader, **source.options)
    folder = tmp_path_factory.mktemp("audit")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        resolve.dataset(params, "digits")
        save(digits, Path("data", "digits"))
        extractor.main("digits", device="cpu")
        _, lenet = load_extractor(Path("extractors/digits"), (1, 8, 8))
    return Subject(
        torch.cat([digits.train_images, digits.test_images]),
        torch.cat([digits.train_labels, digits.test_labels]),
        looking(lenet),
        params.dataset("digits").protocol,
        CPU,
        own_classes=True,
    )


def looking(lenet: Extractor) -> Callable:
    return lambda images: extract(lenet, images, CPU)


@pytest.fixture(scope="module")
def measured(subject: Subject) -> dict[str, Any]:
    result = measure(subject, plan(**STRENGTHS), SIZE, say=lambda text: None)
    protocol = {
        "extractor": {"name": "lenet", "sha256": "c0ffee" * 8, "features": 128, "comparable": "everywhere"},
        **dict.fromkeys(("kid_subsets", "kid_subset_size", "neighbours", "score_splits"), 1),
        "preprocessing": "none",
        "dtype": "float32",
        "versions": {"torch": "2"},
    }
    return {"dataset": "digits", "protocol": protocol, "device": "cpu", **result}


def test_every_metric_is_measured_as_often_as_asked(measured: dict[str, Any]) -> None:
    metrics = set(measured["clean"])
    assert {"fid", "kid", "one_nn", "one_nn_train", "precision"} <= metrics
    assert {len(values) for values in measured["clean"].values()} == {SIZE.clean_draws}
    for name, failure in measured["failures"].items():
        assert set(failure["values"]) == metrics, name
        for rows in failure["values"].values():
            assert [len(row) for row in rows] == [SIZE.disturbed_draws] * len(failure["strengths"])


def test_strengths_that_the_data_do_not_suffice_for_are_left_out(
    subject: Subject, measured: dict[str, Any]
) -> None:
    """1,797 − 2·100 images are left over, some 160 of each class; 1,797 − 2·180 leave some 144."""
    assert measured["failures"]["dropped_classes"]["strengths"] == [2, 5, 9]
    larger = AuditSet(n_samples=180, clean_draws=3, disturbed_draws=2)
    few = measure(subject, plan(dropped_classes=[5, 9]), larger, say=lambda text: None)
    assert few["failures"]["dropped_classes"]["strengths"] == [5]
    assert measured["failures"]["collapse"]["labels"] == ["k = 5"]
    assert measured["sizes"]["n"] == [40]  # 15,000 images are not there


def test_the_metrics_notice_what_they_must(measured: dict[str, Any]) -> None:
    verdicts = judge_all(measured, 3.0)
    assert verdicts["fid"]["copies"].detected is None
    assert verdicts["one_nn_train"]["copies"].detected is not None
    assert verdicts["fid"]["blur"].detected == 0
    assert verdicts["fid"]["collapse"].detected == 0
    assert verdicts["classifier_score"]["dropped_classes"].detected == 0
    # all fakes are training images: each lies on its own copy, so the nearest neighbour is always wrong
    assert measured["failures"]["copies"]["values"]["one_nn_train"][-1] == [0.0, 0.0]


def test_the_same_plan_gives_the_same_numbers_whatever_else_is_in_it(
    subject: Subject, measured: dict[str, Any]
) -> None:
    again = measure(subject, plan(copies=[1.0]), SIZE, say=lambda text: None)
    assert again["clean"] == measured["clean"]
    copies = measured["failures"]["copies"]["values"]
    assert {name: rows[-1] for name, rows in copies.items()} == {
        name: rows[0] for name, rows in again["failures"]["copies"]["values"].items()
    }


def test_clean_draws_differ_and_real_images_look_real(measured: dict[str, Any]) -> None:
    accuracy = measured["clean"]["one_nn"]
    assert len(set(accuracy)) > 1
    # 5 × 200 answers in mutual pairs: a standard error of about 0.02
    assert sum(accuracy) / len(accuracy) == pytest.approx(0.5, abs=0.08)


def test_images_without_labels_lose_no_classes(subject: Subject) -> None:
    unlabelled = Subject(
        subject.images,
        torch.full_like(subject.labels, -1),
        subject.look,
        subject.config,
        CPU,
        own_classes=False,
    )
    result = measure(unlabelled, plan(dropped_classes=[1], blur=[0.1]), SIZE, say=lambda text: None)
    assert list(result["failures"]) == ["blur"]
    assert "class_kl" not in result["clean"]


def test_wrong_plans_are_one_sentence(subject: Subject) -> None:
    with pytest.raises(ValueError, match=r"tracks\.audit\.strengths has no failure 'glitter'; known: noise"):
        check_strengths({"glitter": [1]})
    with pytest.raises(ValueError, match=r"tracks\.audit\.strengths\.blur must grow"):
        check_strengths({"blur": [0.2, 0.1]})
    big = AuditSet(n_samples=600, clean_draws=3, disturbed_draws=2)
    with pytest.raises(ValueError, match="three sets of 600 images cannot be dealt from 1,797"):
        measure(subject, plan(blur=[0.1]), big, say=lambda text: None)


def test_subsets_of_kid_shrink_with_the_set(params: Params) -> None:
    config = params.dataset("digits").protocol
    small = config_at(config, 100)
    assert (small.n_samples, small.n_train, small.kid_subset_size) == (100, 100, 50)
    assert config_at(config, 10 * config.kid_subset_size).kid_subset_size == config.kid_subset_size


def test_report_says_what_was_measured(
    measured: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = judge_all(measured, 3.0)
    text = to_markdown(measured, verdicts, 3.0, "digits.png")
    (line,) = (line for line in text.splitlines() if line.startswith("| FID ↓") and "±" not in line)
    assert line == "| FID ↓ | 2 | blind | 16 % | k = 5 |"
    assert "| metric | dropped classes | copies | blur | collapse |" in text
    assert "**FID ↓** notices dropped classes, blur, collapse; is blind to copies." in text
    assert "2 repetitions is worse than for clean images by more than 3 standard deviations of 5" in text
    content = to_json(measured, verdicts, 3.0)
    blur = content["metrics"]["fid"]["failures"]["blur"]
    assert (blur["detected_from"], blur["direction"], blur["monotone"]) == (0.16, "worse", True)
    assert blur["curve"][0]["mean"] == pytest.approx(
        sum(measured["failures"]["blur"]["values"]["fid"][0]) / 2
    )
    assert content["repetitions"] == {"clean": 5, "disturbed": 2}
    png = figure(measured, verdicts, 3.0)
    assert png.startswith(b"\x89PNG")
    assert figure(measured, verdicts, 3.0) == png

    (tmp_path / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    io.write_json(Path("audit/digits/values.json"), {"schema": 1, **measured})
    report.main("digits")
    assert Path("reports/audit/digits.md").read_text() == text
    assert io.read_json(Path("reports/audit/digits.json")) == content
    assert Path("reports/audit/digits.png").read_bytes() == png
