"""The policy on files that are no images, shared by ingest, `predict`, the service and its page.

- `file_policy`: which files are ignored or skipped, by path and by content
- `file_rules`: the table of names and folders; docs/archives.md shows it
- `image_signatures`: suffixes and first bytes of image formats

It imports only the standard library. Ingest reports every file that a rule leaves out with its
reason; if a rule leaves out a real image, list the image in `manifest.csv` or rename its folder.
"""
