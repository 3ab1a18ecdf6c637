"""The search on real photographs that a person compared; skipped without TEST_DATA."""

import zipfile
from pathlib import Path

import pytest

from pipeline.contract.decoding import decode
from pipeline.steps.cells.matching.fingerprint import Fingerprint, extract_fingerprint
from pipeline.steps.cells.matching.near_duplicates import component_roots, find_matches

FIRST, SECOND = "first photograph", "second photograph"
TWICE = {
    "a mononuclear cell in two class folders": {
        FIRST: "LYMPHOCYTE/_3_716 LYMPHOCYTE/_22_5658 LYMPHOCYTE/_8_4434 LYMPHOCYTE/_21_3652",
        SECOND: "MONOCYTE/_4_7479 MONOCYTE/_13_3068 MONOCYTE/_7_5436 MONOCYTE/_9_8821",
    },
    "a monocyte that the second photograph cuts in half": {
        FIRST: "MONOCYTE/_14_117 MONOCYTE/_7_5180 MONOCYTE/_15_9818 MONOCYTE/_7_3849",
        SECOND: "MONOCYTE/_1_5737 MONOCYTE/_14_6403 MONOCYTE/_11_9710 MONOCYTE/_8_2622",
    },
    "a neutrophil photographed twice": {
        FIRST: "NEUTROPHIL/_36_6362 NEUTROPHIL/_19_5625 NEUTROPHIL/_7_6742 NEUTROPHIL/_116_5425",
        SECOND: "NEUTROPHIL/_50_8782 NEUTROPHIL/_139_4390 NEUTROPHIL/_143_715 NEUTROPHIL/_82_7572",
    },
}
NEIGHBOURS = {
    "two eosinophils": {
        FIRST: "EOSINOPHIL/_73_3782 EOSINOPHIL/_17_2282 EOSINOPHIL/_66_314 EOSINOPHIL/_37_3867",
        SECOND: "EOSINOPHIL/_39_4608 EOSINOPHIL/_22_3444 EOSINOPHIL/_9_280 EOSINOPHIL/_27_8517",
    },
    "a lymphocyte and a neutrophil": {
        FIRST: "LYMPHOCYTE/_4_2290 LYMPHOCYTE/_25_3659 LYMPHOCYTE/_3_8425 LYMPHOCYTE/_8_4361",
        SECOND: "NEUTROPHIL/_16_8276 NEUTROPHIL/_144_5139 NEUTROPHIL/_146_1824",
    },
    "an eosinophil at the border of a monocyte's photograph": {
        FIRST: "EOSINOPHIL/_52_802 EOSINOPHIL/_67_7465 EOSINOPHIL/_57_6840 EOSINOPHIL/_33_2905",
        SECOND: "MONOCYTE/_5_6067 MONOCYTE/_5_6627 MONOCYTE/_6_9605 MONOCYTE/_4_6910",
    },
}


def _groups(folder: Path, photographs: dict[str, str]) -> list[set[int]]:
    """The set of groups of the copies of each photograph."""
    names = {title: files.split() for title, files in photographs.items()}
    with zipfile.ZipFile(folder / "blood_cells.zip") as archive:
        fingerprints: list[Fingerprint] = [
            extract_fingerprint(decode(archive.read(f"blood_cells/{name}.jpeg")))
            for files in names.values()
            for name in files
        ]
    roots = iter(component_roots(len(fingerprints), find_matches(fingerprints, 15)))
    return [{next(roots) for _ in files} for files in names.values()]


@pytest.mark.parametrize("photographs", TWICE.values(), ids=TWICE)
def test_two_photographs_of_a_cell_are_one_group(
    test_data: Path, photographs: dict[str, str]
) -> None:
    """Rotated, mirrored and sheared copies of two photographs of one cell are one group."""
    assert _groups(test_data, photographs) == [{0}, {0}]


@pytest.mark.parametrize("photographs", NEIGHBOURS.values(), ids=NEIGHBOURS)
def test_overlapping_fields_of_two_cells_are_two_groups(
    test_data: Path, photographs: dict[str, str]
) -> None:
    """Photographs that share red cells but not the white cell are two groups."""
    first, second = _groups(test_data, photographs)
    assert (len(first), len(second)) == (1, 1)
    assert first != second
