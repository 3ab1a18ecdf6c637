"""Archives: read a zip and its `manifest.csv` as other programs write them, or refuse it.

Steps in order: `archive_check` opens a zip and checks every entry; `member_names` decodes the names
of its entries; `other_formats` names what is no zip; `manifest_csv` finds the table beside the
class folders, `csv_table` reads it and `manifest_paths` matches its rows to files.

What can be read in one way only is read so, after every rule of safety. All else is refused with
the entry or line, and how to pack the archive again.
"""
