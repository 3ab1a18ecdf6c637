"""The life cycle of a model, one room per phase.

In order: `dataset`, `cells`, `training`, `export`, `evaluation`, `promotion`, `deployment`.
`labels`
brings returned labels into archives; `experiments` compares recipes outside the DAG. A step is one
function that reads artefacts and publishes one. When a step fails, none of its artefacts is
visible; the same call reuses what an earlier attempt finished.
"""
