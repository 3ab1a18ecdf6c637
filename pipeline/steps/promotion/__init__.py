"""Promotion: from an evaluation to the pointer that says which model serves.

1. `gate` compares the challenger with fixed limits and with the champion (`checks`), on the test
   cells that neither was trained on (`eligible_cells`), and publishes a verdict (`verdict`).
   `serve_check` loads the bundle in the service's code; `verdict_page` and `mlflow_verdict` show
   the verdict.
2. `promote` points to the model of a passed verdict, within the rules of `repromotion_rules`;
   `rollback` points to an earlier model.
3. `history` renders the ledger: what served when, who decided and why.

When it fails: a refused gate is a result, not an error; read the failed checks on the verdict page.
A conflict means that another model was promoted meanwhile, and that the gate must run again.
"""
