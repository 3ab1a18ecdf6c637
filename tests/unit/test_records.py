"""Records as tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ArtifactError
from pipeline.records import Record, from_csv, to_csv

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)


@given(
    st.lists(
        st.builds(
            Record,
            sha256=TEXT,
            label=TEXT,
            file=TEXT,
            archive=TEXT,
            hint=TEXT,
            group=TEXT,
            part=st.sampled_from(["train", "val", "test", "reserve", ""]),
        )
    )
)
def test_records_come_back_from_csv(records: list[Record]) -> None:
    """A CSV round trip keeps commas, quotes and line breaks in a file name."""
    assert from_csv(to_csv(records, Record), Record) == records


def test_a_table_with_other_columns_is_rejected() -> None:
    """The error shows the expected and the received header."""
    with pytest.raises(ArtifactError, match=r"table of Record records; expected sha256,.*file,x"):
        from_csv("file,x\n1,2\n", Record)
    with pytest.raises(ArtifactError, match="not a table of Record records"):
        from_csv("", Record)


def test_a_table_of_an_earlier_version_is_read() -> None:
    """Version 0.1 wrote no cell column: its groups were cells."""
    old = "sha256,label,file,archive,hint,group,part\na,ROUND,a.png,zip,,g1,test\n"
    (record,) = from_csv(old, Record)
    assert (record.group, record.cell, record.part) == ("g1", "g1", "test")


def test_a_makers_folder_of_that_name_holds_no_returned_labels() -> None:
    """Only files directly below `returned/` have a returned label, as gather writes them."""
    files = {"returned/a.png": True, "returned/ROUND/a.png": False, "x/returned/a.png": False}
    for file, returned in files.items():
        assert Record(sha256="a", label="ROUND", file=file, archive="zip").returned == returned
