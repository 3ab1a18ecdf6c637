"""Ids of the DAGs in `dags/`, each of which is also the name of its file."""

TRAINING = "blood_cell_training"
INGESTION = "blood_cell_ingestion"
MONITORING = "blood_cell_monitoring"
DEPLOYMENT = "blood_cell_deployment"
