"""MLflow: runs, registered versions, and which of them is the champion.

mlflow    the client: runs, models, artifacts, errors
gate      the promotion rules
versions  versions and aliases; the cache of fetched models; promote and rollback
"""
