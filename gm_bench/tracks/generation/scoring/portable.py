"""The reference of a dataset as one file that travels: images are scored against it in any folder."""

from pathlib import Path

from torch import Tensor

from gm_bench import io
from gm_bench.metrics.extractors.features import Extractor
from gm_bench.metrics.extractors.lenet import LeNetExtractor
from gm_bench.metrics.extractors.loading import find
from gm_bench.results.protocol import Protocol
from gm_bench.tracks.generation.evaluation import Reference
from gm_bench.tracks.generation.scoring.request import KIND, SUFFIX, ScoringError
from gm_bench.tracks.generation.scoring.standard import Standard

SCHEMA = 1
WEIGHTS = "extractor."  # names of the tensors of an extractor that is the dataset's own begin so


def export(standard: Standard, path: Path) -> None:
    """Write all that images are held against: features of real images, floor, protocol, own extractor.

    Real images are not in it.

    Raises:
        ScoringError: the name of the file does not end as it must.
        FileError: it cannot be written.
    """
    if path.suffix != SUFFIX:
        raise ScoringError(f"{path} is no name for a reference: let it end with {SUFFIX}")
    weights = standard.extractor.network.state_dict() if standard.extractor.own_classes else {}
    tensors = standard.reference.tensors() | {
        f"{WEIGHTS}{name.removeprefix('network.')}": tensor.cpu().contiguous()
        for name, tensor in weights.items()
    }
    described = {
        "kind": KIND,
        "version": SCHEMA,
        "name": standard.name,
        "config": standard.config.model_dump(mode="json"),
        "protocol": dict(standard.protocol),
        "shape": list(standard.extractor.image_shape),
        "floor": dict(standard.floor),
        "floor_sd": dict(standard.floor_sd),
        "classes": list(standard.classes),
    }
    io.write_tensors(path, tensors, described)


def load(path: Path) -> Standard:
    """The standard in a file of `export`.

    Raises:
        ScoringError: the file is damaged, of another version, or lacks something.
        WeightsError: the extractor's published weights cannot be had.
    """
    try:
        tensors, described = io.read_tensors(path)
    except io.FileError:
        raise ScoringError(f"{path} is damaged: export it again") from None
    if described.get("version") != SCHEMA:
        raise ScoringError(
            f"{path} has version {described.get('version')}, this program reads {SCHEMA}: export it again"
        )
    try:
        channels, height, width = described["shape"]
        return Standard(
            name=described["name"],
            known=True,
            config=Protocol.model_validate(described["config"]),
            protocol=described["protocol"],
            extractor=_extractor(
                described["protocol"]["extractor"]["name"], tensors, (channels, height, width)
            ),
            reference=Reference.from_tensors(tensors),
            floor=described["floor"],
            floor_sd=described["floor_sd"],
            classes=tuple(described["classes"]),
        )
    except KeyError as error:
        raise ScoringError(f"{path} lacks {error}: export it again") from None


def _extractor(name: str, tensors: dict[str, Tensor], shape: tuple[int, int, int]) -> Extractor:
    weights = {key.removeprefix(WEIGHTS): each for key, each in tensors.items() if key.startswith(WEIGHTS)}
    if weights:
        return LeNetExtractor.of_weights(weights, shape)
    kind = find(name)
    return kind.load(Path(), kind.published(), shape)
