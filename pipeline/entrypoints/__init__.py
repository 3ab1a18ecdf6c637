"""URIs in, URI out: the one place where settings, config, adapters and steps meet.

One module per phase, named like the folders of `pipeline/steps`: `dataset`, `cells`, `training`,
`evaluation`, `verdicts` (the gate), `promotion`, `registry` (the pointer and its mirrors),
`deployment`, `labels`, `experiments`. `chain` runs them one after the other; `configs` finds the
config and the model that a call means; `jobs` holds what every entry point starts from.

The command line and the DAGs call these modules and nothing below them. Steps are imported inside
the functions, so that parsing a DAG or asking for help loads no machine-learning library.
"""

from pipeline.telemetry import configure_process

configure_process()
