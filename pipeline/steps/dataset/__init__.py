"""Dataset: from uploaded archives to a validated dataset.

Steps in order: `watch` (claim new archives), `ingest` (check and repack them, and freeze their
union as a snapshot), `validate` (quarantine unusable images). Helpers: `archives` (what an
archive may contain), `repack` (records and image packs),
`validation_rules` (limits and reasons), `validation_page` (the report).

When it fails: the error names the archive, the file or line, and the broken rule. A refused dataset
has a report page. Correct the archive and upload it again; no partial artefact is published.
"""
