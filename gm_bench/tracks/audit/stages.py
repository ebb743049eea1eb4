"""What the stages of the audit depend on besides data: settings of params.yaml, and the modules they run."""

from gm_bench.config import Params
from gm_bench.tracks.needs import Needs


def of_dataset(params: Params, dataset: str) -> dict[str, Needs]:
    """The stages of the audit of one dataset."""
    audit, protocol = params.audit.of(dataset, params.dataset(dataset).protocol)
    settings = audit.model_dump(mode="json")
    measured = {
        "protocol": protocol.model_dump(mode="json"),
        "set": audit.sets[dataset].model_dump(
            mode="json", include={"n_samples", "clean_draws", "disturbed_draws"}
        ),
        **{key: settings[key] for key in ("sizes", "strengths")},
    }
    extractor = f"gm_bench.metrics.extractors.{protocol.extractor}"
    return {
        "measure": Needs(measured, ["gm_bench.tracks.audit.measuring", extractor]),
        "report": Needs({"noise_multiple": audit.noise_multiple}, ["gm_bench.tracks.audit.report"]),
    }
