"""gm-bench evaluate: images of other programs get the numbers of a cell, or a sentence that says why not."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

import gm_bench
from gm_bench import cli, io
from gm_bench.config import Params
from gm_bench.data.dataset import read_split
from gm_bench.metrics.extractors import inception
from gm_bench.metrics.extractors.features import Features, extract
from gm_bench.metrics.extractors.loading import load_extractor
from gm_bench.tracks.generation.evaluation import Reference, all_metrics
from gm_bench.tracks.generation.scoring.score import score
from gm_bench.tracks.generation.scoring.standard import known_standard

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, digits_with_reference: Path) -> Path:
    """Digits with their reference, and a leaderboard of the same protocol with two variants."""
    path = tmp_path_factory.mktemp("repository")
    shutil.copytree(digits_with_reference, path, dirs_exist_ok=True)
    floor = io.read_json(path / "reference/digits/floor.json")
    rows = [
        {
            "dataset": dataset,
            "variant": name,
            "seeds": [0, 1],
            "status": "ok",
            "metrics": {"fid": {"values": [value - 1.0, value + 1.0]}},
            "cost": {"budget": 6400},
        }
        for dataset, name, value in (
            ("digits", "better_gan", 3.0),
            ("digits", "worse_gan", 300.0),
            ("mnist", "alien", 1.0),
        )
    ]
    protocol = {"digits": floor["protocol"], "mnist": {}}
    board = {"schema": 1, "protocol": protocol, "rows": rows, "floors": {}}
    io.write_json(path / "reports/digits/leaderboard.json", board)
    return path


@pytest.fixture(autouse=True)
def _inside(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)


@pytest.fixture
def draws(params: Params) -> Tensor:
    """Mirrored training images and noise, as many draws as the protocol has: (draws, n, 1, 8, 8)."""
    protocol = params.dataset("digits").protocol
    train, _ = read_split(Path("data", "digits"), "train")
    real = train[torch.arange(protocol.n_samples) % len(train)]
    noise = torch.randint(0, 256, real.shape, dtype=torch.uint8)
    return torch.stack([real.flip(3), noise, *[real] * (protocol.draws - 2)])


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli.app, ["evaluate", *arguments, "--device", "cpu"])
    assert result.exit_code == code, result.output
    return result.output


def refused(*arguments: str) -> str:
    """The one sentence of a refusal."""
    output = run(*arguments, code=1).strip()
    assert "\n" not in output
    assert output.startswith("error: ")
    return output


def test_the_samples_of_a_cell_get_the_numbers_of_the_cell(
    draws: Tensor, tmp_path: Path, params: Params
) -> None:
    io.write_tensors(tmp_path / "samples.safetensors", {"images": draws})
    output = run(
        str(tmp_path / "samples.safetensors"), "--reference", "digits", "--json", str(tmp_path / "row.json")
    )
    row: dict[str, Any] = io.read_json(tmp_path / "row.json")
    tensors, _ = io.read_tensors(Path("reference/digits/features.safetensors"))
    _, lenet = load_extractor(Path("extractors/digits"), (1, 8, 8))
    config = params.dataset("digits").protocol
    expected = [
        all_metrics(extract(lenet, draw, CPU), draw, Reference.from_tensors(tensors), config, CPU)
        for draw in draws
    ]
    assert row["values"] == {name: [each[name] for each in expected] for name in expected[0]}
    assert row["floor"] == io.read_json(Path("reference/digits/floor.json"))["values"]
    assert (row["comparable_with_leaderboard"], row["difference"]) == (True, None)
    assert not [warning for warning in row["warnings"] if "images were used" in warning]
    assert len(row["missing_classes"]) == config.draws
    lines = [line.split()[0] for line in output.splitlines() if line.strip()]
    places = [lines.index(word) for word in ("floor", "better_gan", "these", "worse_gan")]
    assert places == sorted(places)  # in order of FID: 3, that of noise and copies, 300
    assert "alien" not in output


def test_draws_that_are_left_out_are_told(draws: Tensor, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", torch.cat([draws, draws[:2]]).numpy())
    arguments = (str(tmp_path / "a.npz"), "--reference", "digits", "--json", str(tmp_path / "row.json"))
    output = run(*arguments)
    n, used = draws.shape[1], len(draws)
    told = f"{used * n:,} of {(used + 2) * n:,} images were used: the first {used} of {used + 2} draws"
    assert told in io.read_json(tmp_path / "row.json")["warnings"]
    assert f"warning: {told}" in output
    run(*arguments, "--draws", "1")
    told = f"{n:,} of {(used + 2) * n:,} images were used: the first 1 of {used + 2} draws"
    assert told in io.read_json(tmp_path / "row.json")["warnings"]


def test_a_folder_is_dealt_into_draws_of_the_protocol(draws: Tensor, tmp_path: Path, params: Params) -> None:
    """As many distinct images as one draw and a half: one draw, which may not stand beside three."""
    config = params.dataset("digits").protocol
    images = torch.cat([draws[0], draws[1]])[: config.n_samples * 3 // 2]
    for i, image in enumerate(images):
        Image.fromarray(image[0].numpy()).save(tmp_path / f"{i:04}.png")
    output = run(str(tmp_path), "--reference", "digits", "--json", str(tmp_path / "row.json"))
    row = json.loads((tmp_path / "row.json").read_text())
    assert {len(values) for values in row["values"].values()} == {1}
    needed = config.draws * config.n_samples
    reason = f"draws is 1 against {config.draws}; {needed:,} images make all {config.draws} draws"
    assert row["difference"] == reason
    assert f"not beside the leaderboard: {reason}" in " ".join(output.split())
    assert "better_gan" not in output
    assert any(f"{config.n_samples:,} of {len(images):,} images were used" in w for w in row["warnings"])
    # mirrored digits and noise in the same shares as dealt: neither all of one nor all of the other
    assert 0.2 < row["values"]["precision"][0] < 0.8


def test_the_row_is_held_against_a_board_of_the_dataset(draws: Tensor, tmp_path: Path) -> None:
    """Of the boards of digits the one that is named, else the first that has a report."""
    np.savez(tmp_path / "a.npz", draws.numpy())
    arguments = (str(tmp_path / "a.npz"), "--reference", "digits")
    first, other = Path("reports/digits/leaderboard.json"), Path("reports/all/leaderboard.json")
    board = io.read_json(first)
    renamed = [{**row, "variant": "of_all"} for row in board["rows"] if row["variant"] == "better_gan"]
    io.write_json(other, {**board, "rows": renamed})
    try:
        assert "better_gan" in run(*arguments)
        named = run(*arguments, "--board", "all")
        assert "of_all" in named
        assert "better_gan" not in named
        first.unlink()
        assert "of_all" in run(*arguments)
        assert gm_bench.evaluate(tmp_path / "a.npz", "digits", device="cpu")["comparable_with_leaderboard"]
        missing = "not beside the leaderboard: there is no reports/quick/leaderboard.json yet: gm-bench run"
        assert missing in run(*arguments, "--board", "quick")
    finally:
        io.write_json(first, board)
        shutil.rmtree(other.parent)
    assert "boards has no entry 'emoji'; known: digits, quick, all" in refused(*arguments, "--board", "emoji")
    own = (str(tmp_path / "a.npz"), "--reference", str(tmp_path / "a.npz"), "--board", "all")
    assert "--board is for a dataset or an exported reference: no leaderboard has real" in refused(*own)


def test_a_leaderboard_of_another_protocol_is_refused_with_the_first_difference(
    draws: Tensor, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", draws.numpy())
    board = io.read_json(Path("reports/digits/leaderboard.json"))
    changed = json.loads(json.dumps(board))
    changed["protocol"]["digits"]["neighbours"] = 99
    io.write_json(Path("reports/digits/leaderboard.json"), changed)
    try:
        output = run(str(tmp_path / "a.npz"), "--reference", "digits")
    finally:
        io.write_json(Path("reports/digits/leaderboard.json"), board)
    neighbours = board["protocol"]["digits"]["neighbours"]
    assert f"not beside the leaderboard: neighbours is {neighbours} against 99" in output
    assert "better_gan" not in output
    assert "these images" in output


def test_colour_images_of_another_size_are_converted_when_asked(
    draws: Tensor, tmp_path: Path, params: Params
) -> None:
    colour = draws[0].repeat(1, 3, 2, 2).permute(0, 2, 3, 1).numpy()
    np.savez(tmp_path / "a.npz", images=colour)
    path = str(tmp_path / "a.npz")
    assert "give --channels grey to convert them" in refused(path, "--reference", "digits")
    assert "give --resize 8" in refused(path, "--reference", "digits", "--channels", "grey")
    output = run(path, "--reference", "digits", "--channels", "grey", "--resize", "8")
    n = params.dataset("digits").protocol.n_samples
    assert f"converted: {n} of {n} images converted to grey" in output
    assert "--channels is 'gray'; allowed: grey, rgb" in refused(
        path, "--reference", "digits", "--channels", "gray"
    )


def test_what_cannot_be_scored_is_one_sentence(draws: Tensor, tmp_path: Path, params: Params) -> None:
    few = tmp_path / "few.npz"
    np.savez(few, draws[0, :30].numpy())
    n, n_draws = params.dataset("digits").protocol.n_samples, params.dataset("digits").protocol.draws
    sentence = refused(str(few), "--reference", "digits")
    assert f"holds 30 images but the protocol of digits compares {n:,}" in sentence
    assert f"{n * n_draws:,} for all {n_draws} draws" in sentence
    assert "neither a path nor one of digits, mnist" in refused(str(few), "--reference", "no-such")
    assert (
        "reference/mnist/features.safetensors is missing: python -m pipelines.resolve dataset mnist"
        in refused(str(few), "--reference", "mnist")
    )
    assert "--extractor, --reference-key and --n are for a path" in refused(
        str(few), "--reference", "digits", "--extractor", "lenet"
    )
    unknown = CliRunner().invoke(cli.app, ["evaluate", str(few), "--reference", "digits", "--colour", "grey"])
    assert unknown.exit_code == 2
    assert "No such option: --colour" in unknown.output


def test_a_dataset_of_the_grid_is_made_by_its_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Params
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"features\.safetensors is missing: dvc repro reference@digits"):
        known_standard("digits", params)


def test_a_reference_of_another_protocol_is_refused(params: Params) -> None:
    digits = params.entry("digits")
    protocol = digits.protocol.model_copy(update={"neighbours": digits.protocol.neighbours + 1})
    changed = {**params.datasets, "digits": digits.model_copy(update={"protocol": protocol})}
    with pytest.raises(ValueError, match="made under another protocol \\(neighbours is"):
        known_standard("digits", params.model_copy(update={"datasets": changed}))


def test_after_an_upgrade_the_reference_is_forced(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """No stage depends on versions of packages: a plain dvc repro would call the reference fresh."""
    monkeypatch.setattr("gm_bench.results.protocol.version", lambda package: "9.9+cpu")
    said = r"versions.torch is 9\.9 against .*\): dvc repro -f -s reference@digits brings it up to date"
    with pytest.raises(ValueError, match=said):
        known_standard("digits", params)
    elsewhere = params.model_copy(update={"boards": {"mnist_cpu": params.boards["mnist_cpu"]}})
    file = Path("boards/datasets/digits/dvc.yaml")
    file.parent.mkdir(parents=True)
    file.touch()
    try:
        with pytest.raises(
            ValueError, match=rf"dvc repro -f -s {file}:reference@digits brings it up to date"
        ):
            known_standard("digits", elsewhere)
    finally:
        shutil.rmtree("boards")


def test_features_that_are_not_finite_are_refused(
    draws: Tensor, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gm_bench.data.images import Foreign
    from gm_bench.tracks.generation.scoring import score as scoring

    def broken(*arguments: Any) -> Features:
        seen = extract(*arguments)
        seen.features[3, 5] = torch.nan
        return seen

    standard = known_standard("digits", params)
    monkeypatch.setattr(scoring, "extract", broken)
    with pytest.raises(ValueError, match="fake features hold NaN or inf in 1 of"):
        score(Foreign(draws[0], None, (), 1, (), ()), tmp_path, standard, CPU)


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """All digits as an array with their labels."""
    splits = [read_split(Path("data", "digits"), split) for split in ("train", "test")]
    images, labels = (torch.cat(tensors).numpy() for tensors in zip(*splits, strict=True))
    np.savez(tmp_path / "real.npz", images=images, labels=labels)
    return tmp_path / "real.npz"


def test_real_images_of_ones_own_are_the_standard(real: Path, tmp_path: Path, draws: Tensor) -> None:
    """With a known extractor: digits against themselves are at the floor, noise is far away."""
    for name, images in (("copies", np.load(real)["images"][:600]), ("noise", draws[1, :600].numpy())):
        np.savez(tmp_path / f"{name}.npz", images)
        out = tmp_path / f"{name}.json"
        output = run(
            str(tmp_path / f"{name}.npz"),
            "--reference",
            str(real),
            "--extractor",
            "digits",
            "--json",
            str(out),
        )
        assert "not beside the leaderboard: real images of one's own are the standard" in output
    copies, noise = (io.read_json(tmp_path / f"{name}.json") for name in ("copies", "noise"))
    assert copies["protocol"]["n_samples"] == 600
    assert copies["protocol"]["n_train"] == 899  # 1,797 − 898 held out
    assert copies["floor"] == noise["floor"]
    assert (
        abs(copies["floor"]["one_nn"] - 0.5) < 0.06
    )  # 1,200 answers in mutual pairs: 0.02 of standard error
    assert noise["values"]["one_nn"][0] > 0.99
    assert copies["values"]["fid"][0] < 0.05 * noise["values"]["fid"][0]
    # half of the 600 lie in the training half, on their own copies
    assert copies["values"]["duplicates_exact"][0] == pytest.approx(0.5, abs=0.08)


def test_a_small_classifier_is_trained_once_where_labels_are(
    real: Path, tmp_path: Path, draws: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gm_bench.metrics.extractors.classifier.LEAST_UPDATES", 20)
    monkeypatch.setattr("gm_bench.metrics.extractors.classifier.EPOCHS", 1)
    np.savez(tmp_path / "fake.npz", draws[0, :200].numpy())
    arguments = (str(tmp_path / "fake.npz"), "--reference", str(real), "--json", str(tmp_path / "row.json"))
    assert "training a small classifier on 898 images of" in run(*arguments)
    first = io.read_json(tmp_path / "row.json")
    assert first["protocol"]["extractor"]["comparable"] == "among themselves"
    assert "class_kl" in first["values"]
    # what the classifier has seen is compared with nothing: 899 others, 449 of them held out
    assert (first["protocol"]["n_samples"], first["protocol"]["n_train"]) == (200, 450)
    assert "training a small classifier" not in run(*arguments)
    assert io.read_json(tmp_path / "row.json")["values"] == first["values"]


def test_standards_of_ones_own_that_do_not_do(
    real: Path, tmp_path: Path, draws: Tensor, params: Params
) -> None:
    fake, unlabelled = tmp_path / "fake.npz", tmp_path / "unlabelled.npz"
    np.savez(fake, draws[0, :200].numpy())
    np.savez(unlabelled, np.load(real)["images"])
    assert "has no labels to train a classifier on" in refused(
        str(fake), "--reference", str(unlabelled), "--extractor", "lenet"
    )
    assert "there is no extractor 'emoji'" in refused(
        str(fake), "--reference", str(real), "--extractor", "emoji"
    )
    subsets = params.dataset("digits").protocol.fid_subsets
    arguments = (str(tmp_path / "few.npz"), "--reference", str(real), "--extractor", "digits")
    np.savez(tmp_path / "few.npz", draws[0, : 2 * subsets - 1].numpy())
    sentence = f"too few, FID∞ over {subsets} subsets needs at least {2 * subsets} on either side"
    assert sentence in refused(*arguments)
    np.savez(tmp_path / "few.npz", draws[0, : 2 * subsets].numpy())
    assert f"N = {2 * subsets}, mean over 1 draw" in run(*arguments)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classifiers of a few updates."""
    monkeypatch.setattr("gm_bench.metrics.extractors.classifier.LEAST_UPDATES", 3)
    monkeypatch.setattr("gm_bench.metrics.extractors.classifier.EPOCHS", 1)


@pytest.mark.parametrize("n", [40, 200])
def test_a_small_labelled_reference_does(
    n: int, quick: None, real: Path, tmp_path: Path, draws: Tensor, params: Params
) -> None:
    """Down to the fewest that the metrics bear: a classifier's batch is no larger than its images."""
    assert 4 * 2 * params.dataset("digits").protocol.fid_subsets == 40
    arrays = np.load(real)
    np.savez(tmp_path / "small.npz", images=arrays["images"][:n], labels=arrays["labels"][:n])
    np.savez(tmp_path / "fake.npz", draws[0, :100].numpy())
    out = tmp_path / "row.json"
    output = run(str(tmp_path / "fake.npz"), "--reference", str(tmp_path / "small.npz"), "--json", str(out))
    assert f"training a small classifier on {n // 2} images" in output
    assert io.read_json(out)["protocol"]["n_samples"] == n // 4


def test_too_small_a_reference_says_how_many_do(real: Path, tmp_path: Path, draws: Tensor) -> None:
    np.savez(tmp_path / "fake.npz", draws[0, :100].numpy())
    arrays = np.load(real)
    for n in (2, 38):
        np.savez(tmp_path / "small.npz", images=arrays["images"][:n], labels=arrays["labels"][:n])
        sentence = refused(str(tmp_path / "fake.npz"), "--reference", str(tmp_path / "small.npz"))
        assert f"small.npz holds {n} images, of which {n // 4} would be held out" in sentence
        assert "FID∞ over 5 subsets needs at least 10, so give 40 or more" in sentence


def test_a_reference_of_one_class_is_advised_on_paths(real: Path, tmp_path: Path, draws: Tensor) -> None:
    np.savez(tmp_path / "fake.npz", draws[0, :100].numpy())
    arrays = np.load(real)
    np.savez(tmp_path / "one.npz", images=arrays["images"][:200], labels=np.full(200, "seven"))
    sentence = refused(str(tmp_path / "fake.npz"), "--reference", str(tmp_path / "one.npz"))
    assert "one.npz are all of one class (seven), and a classifier needs two or more" in sentence
    assert "give --extractor efficientnet_lite0" in sentence
    assert "params.yaml" not in sentence


def test_a_class_too_small_for_both_halves_is_named(real: Path, tmp_path: Path, draws: Tensor) -> None:
    np.savez(tmp_path / "fake.npz", draws[0, :100].numpy())
    images = np.load(real)["images"][:201]
    np.savez(tmp_path / "rare.npz", images=images, labels=["one", "two"] * 100 + ["rare"])
    sentence = refused(str(tmp_path / "fake.npz"), "--reference", str(tmp_path / "rare.npz"))
    assert "takes every image of a class and leaves none to" in sentence
    assert "rare (1 image)" in sentence


def test_low_range_is_allowed_on_both_sides(quick: None, real: Path, tmp_path: Path, draws: Tensor) -> None:
    arrays = np.load(real)
    np.savez(tmp_path / "dark.npz", images=arrays["images"] // 16, labels=arrays["labels"])
    np.savez(tmp_path / "fake.npz", draws[0, :100].numpy() // 16)
    paths = (str(tmp_path / "fake.npz"), "--reference", str(tmp_path / "dark.npz"))
    assert "--allow-low-range" in refused(*paths)
    assert "these images" in run(*paths, "--allow-low-range")


def test_folders_of_the_stages_are_no_reference(draws: Tensor, real: Path, repository: Path) -> None:
    """Samples of a cell may be judged where they lie; what is named as real images would be lost there."""
    samples = Path("runs/digits/vae/0/samples.safetensors")
    io.write_tensors(samples, {"images": draws})
    try:
        assert "these images" in run(str(samples), "--reference", "digits")
        sentence = refused(str(real), "--reference", str(samples))
        assert f"--reference is {samples}, which lies in runs" in sentence
        folder = Path("reports/digits/figures")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws[0, 0, 0].numpy()).save(folder / "0.png")
        assert "the path of the images is reports/digits/figures, which lies in reports" in refused(
            str(folder), "--reference", "digits"
        )
        assert "which contains extractors" in refused(".", "--reference", "digits")
    finally:
        shutil.rmtree(repository / "runs")
        shutil.rmtree(repository / "reports/digits/figures")


def test_what_is_read_is_not_overwritten_with_the_row(draws: Tensor, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", draws.numpy())
    before = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "link.npz").symlink_to(tmp_path / "a.npz")
    arguments = (str(tmp_path / "link.npz"), "--reference", "digits", "--json", str(tmp_path / "a.npz"))
    assert "a.npz, which is read and would be lost: name another" in refused(*arguments)
    assert (tmp_path / "a.npz").read_bytes() == before


def test_what_is_read_at_home_is_not_overwritten_either(
    draws: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ~ in quotes reaches the command as it is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "a.npz", draws.numpy())
    before = (tmp_path / "a.npz").read_bytes()
    for arguments in (("~/a.npz", "--reference", "digits"), ("~/a.npz", "--reference", "~/a.npz")):
        assert "a.npz, which is read and would be lost" in refused(*arguments, "--json", "~/a.npz")
    assert (tmp_path / "a.npz").read_bytes() == before
    assert refused("~nobody-here/a.npz", "--reference", "digits").startswith(
        "error: ~nobody-here/a.npz does not exist"
    )


def test_an_image_of_a_folder_is_not_overwritten_but_an_earlier_row_beside_it_is(
    draws: Tensor, real: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "fakes"
    (folder / "deeper").mkdir(parents=True)
    for i, image in enumerate(draws[0, :60]):
        Image.fromarray(image[0].numpy()).save(folder / "deeper" / f"{i}.png")
    before = (folder / "deeper/3.png").read_bytes()
    arguments = (str(folder), "--reference", str(real), "--extractor", "digits", "--n", "60", "--json")
    assert "3.png, which is read and would be lost" in refused(*arguments, str(folder / "deeper/3.png"))
    assert (folder / "deeper/3.png").read_bytes() == before
    row = folder / "row.json"
    row.write_text("of before")
    run(*arguments, str(row))
    assert "fid" in row.read_text()


@pytest.mark.parametrize(
    ("content", "said"), [(b"{", "is damaged"), (b"[]", "is no leaderboard: give a leaderboard.json")]
)
def test_a_score_is_not_lost_with_the_leaderboard(
    draws: Tensor, tmp_path: Path, content: bytes, said: str
) -> None:
    np.savez(tmp_path / "a.npz", draws.numpy())
    board = Path("reports/digits/leaderboard.json")
    before = board.read_bytes()
    board.write_bytes(content)
    try:
        row_file = tmp_path / "row.json"
        arguments = (str(tmp_path / "a.npz"), "--reference", "digits")
        output = " ".join(run(*arguments, "--json", str(row_file)).split())
        row = io.read_json(row_file)
        assert gm_bench.evaluate(tmp_path / "a.npz", "digits", device="cpu") == row
    finally:
        board.write_bytes(before)
    assert len(row["values"]["fid"]) == len(draws)
    assert "these images" in output
    (warning,) = [each for each in row["warnings"] if each.startswith("the leaderboard cannot be read: ")]
    assert f"{board} {said}" in warning
    assert f"warning: {warning}" in output
    assert (row["comparable_with_leaderboard"], row["difference"]) == (
        False,
        "the leaderboard cannot be read",
    )


def test_brackets_of_a_path_stay_in_the_title(draws: Tensor, tmp_path: Path) -> None:
    folder = tmp_path / "[bold]x"
    folder.mkdir()
    np.savez(folder / "a.npz", draws.numpy())
    assert "[bold]x" in "".join(run(str(folder / "a.npz"), "--reference", "digits").split())


def test_colour_folders_are_judged_without_a_download_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(inception.WEIGHTS.variable, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    for name, n in (("real", 60), ("fake", 30)):
        for i in range(n):
            (tmp_path / name / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
            pixels = torch.randint(0, 256, (32, 32, 3), dtype=torch.uint8).numpy()
            Image.fromarray(pixels).save(tmp_path / name / "ab"[i % 2] / f"{i}.png")
    output = " ".join(run(str(tmp_path / "fake"), "--reference", str(tmp_path / "real")).split())
    assert "extractor: efficientnet_lite0, since Inception's weights are not at hand" in output
    assert "Extractor: efficientnet_lite0, sha256 579344248a93" in output
    assert "these images" in output


def test_files_that_are_not_read_are_printed(draws: Tensor, tmp_path: Path) -> None:
    for i, image in enumerate(draws[0]):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(image[0].numpy()).save(tmp_path / f"images/{i:04}.png")
    (tmp_path / "images/0.heic").touch()
    output = " ".join(run(str(tmp_path / "images"), "--reference", "digits").split())
    assert "images: 1 not read: 1 of .heic (0.heic)" in output
