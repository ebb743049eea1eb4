"""What a protocol may say, and the first difference of two."""

from typing import Any

import pytest
from pydantic import ValidationError

from gm_bench.config import Params
from gm_bench.results import protocol
from gm_bench.results.protocol import Protocol, build_protocol, same_protocol


def test_the_first_difference_is_said_also_of_what_one_side_lacks() -> None:
    one = {"n": 1, "extractor": {"name": "lenet", "sha256": "ab"}}
    assert same_protocol(one, {"extractor": {"sha256": "ab", "name": "lenet"}, "n": 1}) is None
    other = {"n": 1, "extractor": {"name": "lenet", "sha256": "cd"}}
    assert same_protocol(one, other) == "extractor.sha256 is ab against cd"
    assert same_protocol(one, {"n": 1}) == "extractor.name is lenet against absent"
    assert same_protocol({"n": 1}, one) == "extractor.name is absent against lenet"
    assert same_protocol({"n": None}, {}) == "n is None against absent"


def test_builds_of_one_release_are_one_version(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "version", lambda package: f"2.1.0+{package}")
    extractor = dict.fromkeys(("name", "sha256", "features", "comparable"), "a")
    told = build_protocol("digits", params.dataset("digits").protocol, extractor, "none", {})
    assert told["versions"] == dict.fromkeys(("torch", "torch_fidelity", "numpy"), "2.1.0")


@pytest.mark.parametrize(
    ("key", "least", "refused"),
    [
        ("n_samples", 2, 1),
        ("n_train", 2, 1),
        ("kid_subset_size", 2, 1),
        ("fid_subsets", 3, 2),
        ("floor_splits", 2, 1),
        ("draws", 1, 0),
        ("neighbours", 1, 0),
        ("duplicate_quantile", 0.01, 0.0),
        ("duplicate_quantile", 0.99, 1.0),
    ],
)
def test_numbers_without_a_meaning_are_refused(params: Params, key: str, least: Any, refused: Any) -> None:
    content = params.dataset("digits").protocol.model_dump()
    assert getattr(Protocol.model_validate(content | {key: least}), key) == least
    with pytest.raises(ValidationError, match=key):
        Protocol.model_validate(content | {key: refused})
