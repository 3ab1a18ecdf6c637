"""Entry points: one function per DAG task and command, called with URIs; most return a URI.

One module per phase, named like the folders of `pipeline/steps`: `dataset`, `cells`, `training`,
`evaluation`, `verdicts` (the gate), `promotion`, `served_models` (the pointer and its mirrors),
`deployment`, `labels`, `experiments`. `chain` runs them one after the other; `config_lookup`
finds the config and the model that a call means; `jobs` opens settings, config and adapters.

The command line and the DAGs call these modules and nothing below them. Steps are imported inside
the functions, so that parsing a DAG or asking for help loads no machine-learning library.
"""

from pipeline.telemetry import configure_process

configure_process()
