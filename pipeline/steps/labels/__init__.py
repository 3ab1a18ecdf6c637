"""Labels: returned labels of the service become an archive for the next training run.

One step, `gather`: `returned_labels` joins labels to predictions, `returned_archive` writes the zip
to `archives/<name>/`, where the watcher finds it.

When it fails: run it again. Each stage is idempotent, and a run that was killed continues with the
labels that it had chosen. docs/decisions/0010-returned-labels.md has the rules.
"""
