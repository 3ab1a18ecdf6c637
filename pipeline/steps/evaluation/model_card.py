"""The model card: what a model is for, what it is not for, and how well it does (Mitchell 2019)."""

from collections import Counter
from collections.abc import Sequence

from pipeline.artifacts import ServedManifest
from pipeline.config import RunConfig
from pipeline.pages.report_site import page_templates
from pipeline.records import FITTED, Part, Record
from pipeline.statistics.metrics import Interval
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
    """Markdown, as docs/model-card.md explains it; every figure is read from its source.

    Args:
        report: figures on the locked part.
        served: the bundle that was scored.
        records: of all parts of the split.
        lineage: the bundle and its ancestors.
        config: of the run that trained it.
    """
    template = page_templates().get_template("model_card.md.j2")
    dealt = {record.part for record in records}
    parts = [part for part in _PARTS if part != "reserve" or part in dealt]
    return template.render(
        report=report,
        scores=report.scores,
        served=served,
        config=config,
        rows=_rows(records, served.contract.classes, parts),
        parts=parts,
        lineage=lineage,
        archives=[archive for one in lineage for archive in one.archives],
        told=told,
    )


def told(found: Interval | None) -> str:
    """`0.861 (0.802 to 0.910)`, or `none` where there is no such figure."""
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})" if found else "none"


def _rows(
    records: Sequence[Record], classes: Sequence[str], parts: Sequence[Part]
) -> list[tuple[str, list[tuple[int, int]]]]:
    """Each class with images and cells of each part."""
    images = Counter((r.label, r.part) for r in records)
    cells = Counter(
        (label, part) for label, part, _ in {(r.label, r.part, r.cell) for r in records}
    )
    return [(name, [(images[name, part], cells[name, part]) for part in parts]) for name in classes]
