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
    """Commas, quotes and line breaks in a file's name are its own."""
    assert from_csv(to_csv(records, Record), Record) == records


def test_a_table_of_something_else_is_refused() -> None:
    """The error shows both headers."""
    with pytest.raises(ArtifactError, match=r"not a table of Record; expected sha256,.*file,x"):
        from_csv("file,x\n1,2\n", Record)
    with pytest.raises(ArtifactError, match="not a table of Record"):
        from_csv("", Record)


def test_a_table_of_an_earlier_version_is_read() -> None:
    """Version 0.1 wrote no cell, for its groups were cells; what trained a served model is read."""
    old = "sha256,label,file,archive,hint,group,part\na,ROUND,a.png,zip,,g1,test\n"
    (record,) = from_csv(old, Record)
    assert (record.group, record.cell, record.part) == ("g1", "g1", "test")


def test_a_makers_folder_of_that_name_holds_no_returned_labels() -> None:
    """Gather writes `returned/<file>`; folders of classes below it are an archive's own."""
    files = {"returned/a.png": True, "returned/ROUND/a.png": False, "x/returned/a.png": False}
    for file, returned in files.items():
        assert Record(sha256="a", label="ROUND", file=file, archive="zip").returned == returned
