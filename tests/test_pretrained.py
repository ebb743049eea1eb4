"""VGG-16, CLIP and DINOv2: the networks of their publishers, and results that have no classifier score."""

import math
import shutil
import warnings
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stand_ins import MODULES, random_dinov2, stand_in
from test_leaderboard import board_of, cell, floor
from torch import Tensor, nn
from torch.nn import functional as F
from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP
from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
from typer.testing import CliRunner

from gm_bench import cli, io
from gm_bench.cell import Cell
from gm_bench.config import Params
from gm_bench.data.dataset import read_split
from gm_bench.data.images import Foreign
from gm_bench.data.split import stratified_split
from gm_bench.metrics.extractors import clip, dinov2, loading
from gm_bench.metrics.extractors.features import Extractor, WeightsError, extract
from gm_bench.metrics.fidelity import kid
from gm_bench.metrics.frechet import fid
from gm_bench.metrics.neighbours import leave_one_out_1nn, precision_recall
from gm_bench.nets.dinov2 import EPSILON, OFFSET, Attention, Block, DinoV2, from_weights, positions
from gm_bench.results.baseline import set_up_differs
from gm_bench.results.leaderboard import LeaderboardError
from gm_bench.results.protocol import SEED, Protocol, build_protocol, same_protocol
from gm_bench.tracks.audit.measuring import remembering
from gm_bench.tracks.generation import measuring, reference
from gm_bench.tracks.generation.extraction import prepare
from gm_bench.tracks.generation.scoring import portable
from gm_bench.tracks.generation.scoring.score import score
from gm_bench.tracks.generation.scoring.standard import STANDARD, own_standard

CPU = torch.device("cpu")


def images(n: int, *shape: int) -> Tensor:
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8)


def load(name: str, folder: Path, patch: pytest.MonkeyPatch, shape: tuple[int, int, int]) -> Extractor:
    """The extractor of that name with random weights, in batches of four."""
    stand_in(name, folder, patch)
    patch.setattr(loading.find(name), "batch_size", 4)
    return loading.find(name).load(Path(), {}, shape)


# The networks


@pytest.mark.parametrize(
    ("name", "theirs", "called", "layer"),
    [
        ("vgg16", FeatureExtractorVGG16, "vgg16", "fc2_relu"),
        ("clip", FeatureExtractorCLIP, "clip-vit-b-32", "clip"),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_those_of_torch_fidelity(
    name: str,
    theirs: type[nn.Module],
    called: str,
    layer: str,
    channels: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extractor, given = load(name, tmp_path, monkeypatch, (channels, 12, 12)), images(6, channels, 12, 12)
    seen = extract(extractor, given, CPU)
    network = theirs(called, [layer], feature_extractor_weights_path=tmp_path / MODULES[name].WEIGHTS.name)
    (expected,) = network(given.repeat(1, 3 // channels, 1, 1))
    # other batches, so other orders of summation in float32
    torch.testing.assert_close(seen.features, expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 100 * 1e-5
    assert (seen.logits.shape, seen.logits.dtype, extractor.n_logits) == ((6, 0), torch.float32, 0)
    assert extractor.n_features == seen.features.shape[1] == MODULES[name].N_FEATURES


def test_features_of_vgg16_are_rectified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = extract(load("vgg16", tmp_path, monkeypatch, (3, 8, 8)), images(4, 3, 8, 8), CPU).features
    assert (float(seen.min()), seen.shape) == (0, (4, 4096))
    assert 0.1 < float((seen == 0).float().mean()) < 0.9


def test_the_file_of_clip_is_the_one_that_openai_published() -> None:
    """The digest is the folder of the address, and OpenAI's own program checks the file against it."""
    digest = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"
    assert digest == clip.WEIGHTS.sha256
    assert clip.WEIGHTS.url == f"https://openaipublic.azureedge.net/clip/models/{digest}/ViT-B-32.pt"


def test_clip_is_loaded_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        load("clip", tmp_path, monkeypatch, (3, 8, 8))
    assert [str(warning.message) for warning in said] == []


# DINOv2, against networks of torch that compute the same


def test_heads_of_dinov2_attend_as_those_of_torch() -> None:
    ours, theirs = Attention(128), nn.MultiheadAttention(128, 2, batch_first=True)
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.qkv.weight,
            "in_proj_bias": ours.qkv.bias,
            "out_proj.weight": ours.proj.weight,
            "out_proj.bias": ours.proj.bias,
        }
    )
    tokens = 5 * torch.randn(2, 7, 128)
    with torch.no_grad():
        expected, shares = theirs(tokens, tokens, tokens)
    assert float(shares.max()) > 2 / 7, "the heads look somewhere, and not everywhere alike"
    torch.testing.assert_close(ours(tokens), expected, rtol=1e-4, atol=1e-5)


def as_layer_of_torch(block: Block, width: int) -> nn.TransformerEncoderLayer:
    """torch's layer has no layer scale: the factors go into the weights of what they multiply."""
    layer = nn.TransformerEncoderLayer(
        width, width // 64, 4 * width, 0.0, nn.functional.gelu, EPSILON, batch_first=True, norm_first=True
    )
    weights = block.state_dict()
    first, second = weights.pop("ls1.gamma"), weights.pop("ls2.gamma")
    names = {"attn.qkv.": "self_attn.in_proj_", "attn.proj": "self_attn.out_proj", "mlp.fc": "linear"}
    renamed = {}
    for name, weight in weights.items():
        gamma = first if "attn.proj" in name else second if "fc2" in name else torch.ones(len(weight))
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        renamed[name] = weight * gamma.view(-1, *[1] * (weight.ndim - 1))
    layer.load_state_dict(renamed)
    return layer.train()  # in eval mode torch takes another way, which rounds otherwise


def test_a_block_of_dinov2_is_a_layer_of_torch_with_scaled_branches() -> None:
    block = random_dinov2(128, 1, 2).blocks[0]
    tokens = torch.randn(2, 5, 128)
    with torch.no_grad():
        torch.testing.assert_close(block(tokens), as_layer_of_torch(block, 128)(tokens), rtol=1e-4, atol=1e-5)


def bicubic(n: int, grid: int, scale: float) -> Tensor:
    """Shares of `grid` points in each of n, those at (i + ½) / scale − ½: Keys' kernel with a = −0.75."""
    shares = torch.zeros(n, grid, dtype=torch.float64)
    for i in range(n):
        place = (i + 0.5) / scale - 0.5
        for j in range(math.floor(place) - 1, math.floor(place) + 3):
            d, a = abs(place - j), -0.75
            near = (a + 2) * d**3 - (a + 3) * d**2 + 1
            far = a * (d**3 - 5 * d**2 + 8 * d - 4)
            shares[i, min(max(j, 0), grid - 1)] += near if d <= 1 else far
    return shares


def test_position_embeddings_are_interpolated_with_the_offset_of_the_published_code() -> None:
    embeddings = torch.randn(1, 1 + 37 * 37, 6)
    found = positions(embeddings, 16).double()
    square = embeddings[0, 1:].view(37, 37, 6).double()

    def expected(offset: float) -> Tensor:
        shares = bicubic(16, 37, (16 + offset) / 37)
        return torch.einsum("ij,kl,jld->ikd", shares, shares, square).flatten(0, 1)

    assert OFFSET == 0.1
    assert torch.equal(found[0, 0], embeddings[0, 0].double())
    # places and shares are of float32
    torch.testing.assert_close(found[0, 1:], expected(0.1), rtol=0, atol=1e-4)
    assert (found[0, 1:] - expected(0)).abs().max() > 0.3
    assert positions(embeddings, 37) is embeddings


def test_dinov2_is_its_parts_put_together() -> None:
    """Patches as rows of 14 × 14 × 3 numbers, blocks by torch, the class token of the last, normalised."""
    network, given = random_dinov2(128, 3, 5), torch.randn(2, 3, 42, 42)
    patches = F.unfold(given, 14, stride=14).mT @ network.patch_embed.proj.weight.flatten(1).T
    tokens = torch.cat(
        [network.cls_token.expand(2, -1, -1), patches + network.patch_embed.proj.bias], dim=1
    ) + positions(network.pos_embed, 3)
    with torch.no_grad():
        for block in network.blocks:
            tokens = as_layer_of_torch(block, 128)(tokens)
        middle = tokens[:, 0] - tokens[:, 0].mean(dim=1, keepdim=True)
        scaled = middle / (middle.square().mean(dim=1, keepdim=True) + 1e-6).sqrt()
        expected = scaled * network.norm.weight + network.norm.bias
        found = network(given)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert (found[0] - found[1]).abs().mean() > 0.01


def test_dinov2_has_the_weights_of_the_published_file() -> None:
    """86,580,480 numbers, as the network of facebookresearch/dinov2 has: 346 MB of the file's 346.4 MB."""
    with torch.device("meta"):
        network = DinoV2(dinov2.N_FEATURES, 12, 37)
    mask_token = 768
    assert sum(weight.numel() for weight in network.parameters()) + mask_token == 86_580_480
    assert len(network.state_dict()) + 1 == 175


def test_the_sizes_of_dinov2_are_those_of_its_weights() -> None:
    network = random_dinov2(128, 2, 3)
    again = from_weights(network.state_dict() | {"mask_token": torch.ones(1, 128)})
    given = torch.randn(2, 3, 28, 28)
    assert torch.equal(again(given), network(given))
    for weights in (
        {"weight": torch.ones(3)},
        {name: weight for name, weight in network.state_dict().items() if name != "norm.bias"},
        network.state_dict() | {"register_tokens": torch.ones(1, 4, 128)},
    ):
        with pytest.raises(ValueError, match=r"not those of a vision transformer of DINOv2"):
            from_weights(weights)


def test_dinov2_is_registered_with_torch_fidelity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = random_dinov2(64, 1, 2).state_dict()
    made = FEATURE_EXTRACTORS_REGISTRY[dinov2.REGISTERED](dinov2.REGISTERED, ["dinov2"], weights=weights)
    assert [layer.shape for layer in made(images(2, 3, 8, 8))] == [(2, 64)]


# Their files


@pytest.mark.parametrize("name", MODULES)
def test_a_record_says_which_file_it_was(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stand_in(name, tmp_path, monkeypatch)
    record = loading.find(name).published()
    assert (record["name"], record["sha256"]) == (name, io.sha256_file(path))
    assert (record["features"], record["logits"]) == (MODULES[name].N_FEATURES, 0)
    assert (record["comparable"], record["weights"]) == ("everywhere", None)


@pytest.mark.parametrize("name", MODULES)
def test_a_file_of_another_content_is_never_opened(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stand_in(name, tmp_path, monkeypatch)
    with path.open("ab") as file:
        file.write(b"!")

    def opened(*arguments: object, **options: object) -> None:
        raise AssertionError("it was opened")

    monkeypatch.setattr(torch, "load", opened)
    monkeypatch.setattr(torch.jit, "load", opened)
    weights, extractor = MODULES[name].WEIGHTS, loading.find(name)
    for read in (extractor.published, lambda: extractor.load(Path(), {}, (3, 8, 8))):
        with pytest.raises(WeightsError) as caught:
            read()
        assert str(caught.value) == (
            f"{path} is not the file {weights.name} (its sha256 must be {weights.sha256}): "
            f"replace it from {weights.url}"
        )


@pytest.mark.parametrize("name", MODULES)
def test_a_missing_file_says_where_to_get_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, published = MODULES[name], loading.find(name).published
    variable = f"GM_BENCH_{name.upper()}_WEIGHTS"
    monkeypatch.setenv(variable, str(tmp_path / "nothing"))
    with pytest.raises(WeightsError) as caught:
        published()
    assert str(caught.value) == (
        f"{variable} names {tmp_path / 'nothing'}, which is no file: "
        f"it must be {module.WEIGHTS.name} from {module.WEIGHTS.url}"
    )
    monkeypatch.delenv(variable)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    unreachable = (tmp_path / "unreachable").as_uri()
    monkeypatch.setattr(module, "WEIGHTS", replace(module.WEIGHTS, url=unreachable))
    with pytest.raises(WeightsError) as caught:
        published()
    said = str(caught.value)
    assert said.startswith(f"cannot download the {module.WEIGHTS.network} weights (")
    assert said.endswith(
        f": get {unreachable} elsewhere and put it at {tmp_path / 'checkpoints' / module.WEIGHTS.name}, or "
        f"point {variable} to it, or choose the extractor efficientnet_lite0, which needs no download"
    )
    assert "\n" not in said


def test_a_file_is_downloaded_once_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = stand_in("clip", tmp_path, monkeypatch)
    monkeypatch.delenv(clip.WEIGHTS.variable)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    here = replace(clip.WEIGHTS, url=source.as_uri())
    assert not here.at_hand()
    with pytest.raises(WeightsError, match="cannot download the CLIP weights"):
        replace(here, sha256="0" * 64).find()
    assert here.find() == tmp_path / "hub/checkpoints/ViT-B-32.pt"
    source.unlink()
    assert here.at_hand()
    assert io.sha256_file(here.find()) == here.sha256


# Results without a classifier score

SHAPE = (1, 8, 8)
OF_CLASSES = {"classifier_score", "inception_score", "class_accuracy", "classes_hit", "class_kl"}


def half_noise(blobs: Tensor, n: int) -> Tensor:
    """n images, half of them mirrored spots in one corner, half noise."""
    return torch.cat([blobs[::4][: n // 2].flip(3), images(n - n // 2, *SHAPE)])


def test_gm_bench_evaluate_with_an_extractor_without_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blobs: Tensor
) -> None:
    """The numbers are those of the metrics on its features; a score is neither there nor spoken of."""
    extractor = load("clip", tmp_path, monkeypatch, SHAPE)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    fake, real, labels = half_noise(blobs, 60), blobs[:120], torch.arange(120) % 4
    np.savez("fake.npz", images=fake.numpy())
    np.savez("real.npz", images=real.numpy(), labels=labels.numpy())
    arguments = ["fake.npz", "--reference", "real.npz", "--extractor", "clip", "--json", "row.json"]
    shown = CliRunner().invoke(cli.app, ["evaluate", *arguments, "--device", "cpu"])
    assert shown.exit_code == 0, shown.output
    row: dict[str, Any] = io.read_json(Path("row.json"))

    _, held_out = stratified_split(labels, 60, 0)
    a, b = (extract(extractor, given, CPU).features for given in (fake, real[held_out]))
    both = precision_recall(a, b, STANDARD.neighbours)
    assert 0 < both.precision < 1
    values = {name: value for name, (value,) in row["values"].items()}
    assert values["fid"] == pytest.approx(fid(a, b), rel=1e-6)  # summed in another order
    assert (values["precision"], values["recall"]) == (both.precision, both.recall)
    assert values["one_nn"] == leave_one_out_1nn(a, b).overall
    assert not OF_CLASSES & set(values)
    assert set(row["floor"]) == set(values)
    assert row["missing_classes"] == [[]]
    assert row["protocol"]["extractor"] == {
        "name": "clip",
        "sha256": clip.WEIGHTS.sha256,
        "features": 512,
        "comparable": "everywhere",
    }
    assert "FID" in shown.output
    assert not [word for word in ("score", "Score", "classes") if word in shown.output]
    assert [said for said in row["warnings"] if "class" in said] == []


def test_other_extractors_are_still_said_to_have_other_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blobs: Tensor
) -> None:
    """The warning that is left out above stands where there is a score."""
    real = Foreign(blobs[:80], None, (), 1, (), ())
    standard = own_standard(
        real, tmp_path, 40, "efficientnet_lite0", STANDARD, CPU, say=lambda text: None, kept=tmp_path
    )
    assert any("the classifier score is over the 1,000 classes of" in said for said in standard.warnings)
    # The spread between random halves is known of real images of one's own too: 1-NN of 40 and 40 images.
    assert set(standard.floor_sd) == {"precision", "recall", "coverage", "one_nn", "sharpness"}
    assert 0.2 < standard.floor_sd["one_nn"] / (0.5 / 80**0.5) < 4


def test_a_reference_without_classes_travels_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blobs: Tensor
) -> None:
    load("clip", tmp_path, monkeypatch, SHAPE)
    real, fake = (Foreign(given, None, (), 1, (), ()) for given in (blobs[:120], half_noise(blobs, 60)))
    made = own_standard(real, tmp_path, 60, "clip", STANDARD, CPU, say=lambda text: None, kept=tmp_path)
    portable.export(made, tmp_path / "reference.safetensors")
    read = portable.load(tmp_path / "reference.safetensors")
    assert (read.reference.train.logits.shape, read.reference.train.logits.dtype) == ((60, 0), torch.float32)
    one, other = (score(fake, tmp_path, standard, CPU).to_json(None) for standard in (made, read))
    assert one == other
    assert one["values"]["kid"][0] > 0


@pytest.fixture
def small(params: Params) -> Protocol:
    """The protocol of digits with fewer images, in CLIP's features."""
    return params.dataset("digits").protocol.model_copy(
        update={"extractor": "clip", "n_samples": 60, "n_train": 80, "draws": 2, "kid_subset_size": 30}
    )


def test_stages_of_a_dataset_whose_extractor_has_no_classes(
    digits_with_reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Protocol
) -> None:
    """Labels that a conditional variant was asked for are held against no classes of another network."""
    shutil.copytree(digits_with_reference / "data", tmp_path / "work/data")
    extractor = load("clip", tmp_path, monkeypatch, SHAPE)
    monkeypatch.chdir(tmp_path / "work")
    record = prepare("digits", "clip", CPU, say=lambda text: None)
    assert record == io.read_json(Path("extractors/digits/extractor.json"))
    real = reference.make("digits", small, 40, CPU)
    kept, made = io.read_tensors(Path("reference/digits/features.safetensors"))
    assert made["classes"] == []
    assert {name: tuple(kept[f"{name}_logits"].shape) for name in ("test", "train", "validation")} == {
        "test": (60, 0),
        "train": (80, 0),
        "validation": (40, 0),
    }
    assert not OF_CLASSES & {*real["values"], *real["sd"]}
    assert real["sd"]["fid"] > 0

    train, labels = read_split(Path("data/digits"), "train")
    draws = torch.stack([train[:60], images(60, *SHAPE)])
    address = Cell("board", "digits", "cgan", 0)
    io.write_tensors(
        address.folder / "samples.safetensors",
        {"images": draws, "labels": torch.stack([labels[:60]] * 2)},
        {"status": "ok", "divergence": None, "training_key": "", "density": "", "checkpoint": {}},
    )
    io.write_tensors(
        address.folder / "snapshots.safetensors", {"images": images(1, 40, *SHAPE)}, {"images_shown": [64]}
    )
    measured = measuring.measure(address, small, CPU)
    assert set(measured["values"]) == set(real["values"])
    seen = [extract(extractor, draw, CPU).features for draw in draws]
    held_out = kept["test_features"]
    assert measured["values"]["fid"] == [pytest.approx(fid(each, held_out), rel=1e-9) for each in seen]
    assert measured["values"]["kid"] == [
        kid(each, held_out, small.kid_subsets, small.kid_subset_size, SEED) for each in seen
    ]
    assert measured["details"]["missing_classes"] == [[], []]
    assert [n for n, _ in measured["curves"]["fid"]] == [64]


def test_the_audit_remembers_features_without_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blobs: Tensor
) -> None:
    extractor = load("clip", tmp_path, monkeypatch, SHAPE)
    eye = remembering(lambda chosen: extract(extractor, chosen, CPU), blobs[:10])
    for chosen in (blobs[:6], blobs[4:10]):
        seen, expected = eye(chosen), extract(extractor, chosen, CPU)
        assert torch.equal(seen.features, expected.features)
        assert (seen.logits.shape, seen.logits.dtype) == ((6, 0), torch.float32)


def protocol_of(name: str, small: Protocol) -> dict[str, Any]:
    """As the stages build it, from the extractor's own record."""
    extractor = loading.find(name)
    config = small.model_copy(update={"extractor": name})
    return build_protocol("digits", config, extractor.published(), extractor.preprocessing, {"test": "ab"})


def test_numbers_of_different_extractors_never_stand_in_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Protocol
) -> None:
    """Neither in a leaderboard nor in the gate, not even those of one network with other weights."""
    for name in MODULES:
        stand_in(name, tmp_path, monkeypatch)
    of = {name: protocol_of(name, small) for name in ("efficientnet_lite0", *MODULES)}
    assert of["vgg16"]["preprocessing"] == of["dinov2"]["preprocessing"]
    pairs = [(of[a], of[b], f"extractor.name is {b} against {a}") for a, b in combinations(of, 2)]
    stand_in("clip", tmp_path, monkeypatch)
    again = protocol_of("clip", small)
    sha256s = [protocol["extractor"]["sha256"] for protocol in (of["clip"], again)]
    pairs.append((of["clip"], again, f"extractor.sha256 is {sha256s[1]} against {sha256s[0]}"))
    for one, other, difference in pairs:
        assert same_protocol(other, one) == difference
        with pytest.raises(LeaderboardError, match=rf"digits/gan/0 cannot .* {difference}"):
            board_of(floor(protocol=one), cell("gan", 0, 1.0, protocol=other))
        before, after = (
            board_of(floor(protocol=each), cell("gan", 0, 1.0, protocol=each)) for each in (one, other)
        )
        assert set_up_differs(after, before, "digits", "gan") == difference
        assert set_up_differs(after, after, "digits", "gan") is None
