"""The track of generated images: what its leaderboards rank by and show."""

from gm_bench.metrics.catalogue import IMAGES
from gm_bench.tracks.generation import nearest, pages, shown
from gm_bench.tracks.generation.charts import charts
from gm_bench.tracks.track import Track

TRACK = Track(
    name="generation",
    catalogue=IMAGES,
    protocol_in_words=pages.protocol_in_words,
    charts=charts,
    summary=pages.summary,
    notes=pages.notes,
    verdicts=pages.verdicts,
    marks=pages.marks,
    starred=pages.starred,
    row_facts=pages.row_facts,
    failures=pages.failures,
    cell_verdict=pages.cell_verdict,
    cell_facts=pages.cell_facts,
    samples=pages.samples,
    real=pages.real,
    packed=shown.packed,
    galleries=nearest.galleries,
    cell_galleries=nearest.cell_galleries,
    row_details=("density", "checkpoint", "missing_classes"),
    metric_pairs=(("precision", "recall"),),
)
