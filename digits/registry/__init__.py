"""MLflow: runs, registered versions, and which of them is the champion.

address     the address of the tracking server, its checks, how it is shown
mlflow      the client: runs, models, artifacts, and its errors as ours
versions    versions and aliases: resolving an address, adding a version
listing     the versions as a list, each with its problems
cache       the model cache on this machine's disk
gate        the promotion rules
promotion   promote and roll back
source      MLflow as a source of models for digits.inference

`python -m digits registry` is the command line.
"""
