"""What the stages of the audit depend on besides data: settings of params.yaml, and the modules they run."""

from gm_bench.checking import look_up
from gm_bench.config import Params
from gm_bench.tracks.audit.settings import Audit
from gm_bench.tracks.needs import Needs
from gm_bench.tracks.settings import settings

SETTINGS = Audit


def audit_settings(params: Params) -> Audit:
    """What params.yaml says of the audit under `tracks.audit`.

    Raises:
        ConfigError: a wrong key or value, or a dataset without its set.
    """
    found = settings(params, "audit", SETTINGS)
    for dataset in found.datasets:
        look_up(found.sets, dataset, "tracks.audit.sets")
    return found


def of_dataset(params: Params, dataset: str) -> dict[str, Needs]:
    """The stages of the audit of one dataset."""
    audit, protocol = audit_settings(params).of(dataset, params.dataset(dataset).protocol)
    said = audit.model_dump(mode="json")
    measured = {
        "protocol": protocol.model_dump(mode="json"),
        "set": audit.sets[dataset].model_dump(
            mode="json", include={"n_samples", "clean_draws", "disturbed_draws"}
        ),
        **{key: said[key] for key in ("sizes", "strengths")},
    }
    extractor = f"gm_bench.metrics.extractors.{protocol.extractor}"
    return {
        "measure": Needs(measured, ["gm_bench.tracks.audit.measuring", extractor]),
        "report": Needs({"noise_multiple": audit.noise_multiple}, ["gm_bench.tracks.audit.report"]),
    }
