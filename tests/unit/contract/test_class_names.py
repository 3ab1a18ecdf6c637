"""Class names are compared in one form; a near miss is proposed, never applied."""

import unicodedata

import pytest

from pipeline.contract.class_names import canonical, did_you_mean, match, nearest, require_distinct

CLASSES = ("EOSINOPHIL", "Linfócito", "immature granulocytes", "NEUTROPHIL")


@pytest.mark.field("decomposed_names")
@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_a_name_matches_in_every_unicode_form(form: str) -> None:
    """As a Mac decomposes the names of folders, in any letter case, also for the config's class."""
    spelt = unicodedata.normalize(form, "LINFÓCITO")  # type: ignore[arg-type]
    assert match(spelt, CLASSES) == "Linfócito"
    assert match("linfócito", [unicodedata.normalize(form, "Linfócito")])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    [
        "Immature_Granulocytes",
        " immature  granulocytes ",
        "immature-granulocytes",
        "immature\u00a0granulocytes",
        "immature\u2013granulocytes",
        "\ufeffimmature granulocytes\u200b",
    ],
)
def test_blanks_underscores_and_hyphens_between_words_are_equal(name: str) -> None:
    """Runs of them too, and characters that nobody sees do not count."""
    assert match(name, CLASSES) == "immature granulocytes"


def test_signs_at_the_end_of_a_name_count() -> None:
    """`CD4+`, `CD4-` and `CD4` are three classes."""
    require_distinct(("CD4+", "CD4-", "CD4"))
    assert match("cd4-", ("CD4+", "CD4-", "CD4")) == "CD4-"


@pytest.mark.parametrize("name", ["ROUND", "a/b", "=cmd|' /C calc'!A0", "<b>", "😀", "a" * 100])
def test_canonical_form_is_stable(name: str) -> None:
    """Its own canonical form is itself, also for names that are no words."""
    assert canonical(canonical(name)) == canonical(name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Neutrophils", "NEUTROPHIL"),
        ("neutrofil", "NEUTROPHIL"),
        ("Neutrophilen", "NEUTROPHIL"),
        ("NEUT", "NEUTROPHIL"),
        ("Eos", "EOSINOPHIL"),
        ("Linfocito", "Linfócito"),
        ("Linfo\u0301citos", "Linfócito"),
        ("immature granulocyte (IG)", "immature granulocytes"),
    ],
)
@pytest.mark.field("misspelt_class")
def test_a_near_miss_is_proposed(name: str, meant: str) -> None:
    """Plurals, typos, other languages and abbreviations."""
    assert nearest(name, CLASSES) == meant
    assert did_you_mean(name, CLASSES) == f"did you mean {meant}?"


@pytest.mark.parametrize("name", ["MONOCYTE", "BASOPHIL", "patient_0", "TRAIN", "", "-", "I"])
def test_another_name_gets_no_proposal(name: str) -> None:
    """Names of other cells share their ending with a class."""
    assert nearest(name, CLASSES) == ""
    assert did_you_mean(name, CLASSES) == ""


def test_two_classes_that_are_equally_near_give_no_proposal() -> None:
    """A proposal must not be a guess."""
    assert nearest("lymph", ("Lymphocyte", "Lymphoblast")) == ""


@pytest.mark.parametrize(
    ("classes", "problem"),
    [
        (("A b", "a_B"), "'A b' and 'a_B' differ at most in case"),
        (("Linfócito", unicodedata.normalize("NFD", "Linfócito")), "must be distinct"),
        (("A", " "), "no visible character"),
        (("A", "\u200b"), "no visible character"),
        (("A", "B\nC"), "line break"),
        (("A", "B" * 101), "more than 100 characters"),
    ],
)
def test_ambiguous_and_unusable_classes_are_refused(classes: tuple[str, ...], problem: str) -> None:
    """With the names and what is wrong with them."""
    with pytest.raises(ValueError, match=problem):
        require_distinct(classes)
