"""Model card: intended use, limits and metrics of a model (Mitchell et al., 2019)."""

from collections import Counter
from collections.abc import Sequence

from pipeline.artifacts import ServedManifest
from pipeline.config.run_config import RunConfig
from pipeline.pages.report_site import page_templates
from pipeline.records import FITTED, Part, Record
from pipeline.statistics.intervals import Interval
from pipeline.steps.evaluation.evaluation_report import EvaluationReport
from pipeline.steps.evaluation.lineage import Ancestor

_PARTS: tuple[Part, ...] = (*FITTED, "test", "reserve")


def model_card(
    report: EvaluationReport,
    served: ServedManifest,
    records: Sequence[Record],
    lineage: Sequence[Ancestor],
    config: RunConfig,
) -> str:
    """The model card as Markdown; `records` are those of all parts of the split.

    docs/model-card.md explains its sections.
    """
    template = page_templates().get_template("model_card.md.j2")
    assigned = {record.part for record in records}
    parts = [part for part in _PARTS if part != "reserve" or part in assigned]
    return template.render(
        report=report,
        scores=report.scores,
        served=served,
        config=config,
        rows=_rows(records, served.contract.classes, parts),
        parts=parts,
        lineage=lineage,
        archives=[archive for one in lineage for archive in one.archives],
        estimate=estimate,
    )


def estimate(interval: Interval | None) -> str:
    """A metric with its interval, `0.861 (0.802 to 0.910)`, or `none` if it is undefined."""
    if interval is None:
        return "none"
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _rows(
    records: Sequence[Record], classes: Sequence[str], parts: Sequence[Part]
) -> list[tuple[str, list[tuple[int, int]]]]:
    """Each class with its number of images and cells in each part."""
    images = Counter((r.label, r.part) for r in records)
    cells = Counter(
        (label, part) for label, part, _ in {(r.label, r.part, r.cell) for r in records}
    )
    return [(name, [(images[name, part], cells[name, part]) for part in parts]) for name in classes]
