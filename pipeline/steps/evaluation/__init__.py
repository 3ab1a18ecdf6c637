"""Evaluation: metrics of a served bundle on the locked test part.

1. `predictions` runs the bundle over labelled images, exactly as the service does.
2. `scoring` computes the metrics with their intervals, `mistakes` selects and explains the worst.
3. `evaluation_page` and `model_card` render them; `lineage` lists the artefact's ancestors.
4. `evaluate` is the step, `mlflow_evaluation` copies its result to the MLflow run.

`omissions` reports which images of a labelled archive are not scored.

When it fails: "another preprocessing" means that this code cuts other pixels than the bundle was
trained on; train again. An unreachable MLflow does not fail the step.
"""
