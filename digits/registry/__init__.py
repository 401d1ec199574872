"""MLflow: runs, registered versions, and which of them is the champion.

address     of the tracking server: which one, whether it is one, how it is shown
mlflow      the client: runs, models, artifacts, and its errors as ours
versions    versions and aliases: what an address means, how a version is added
listing     the versions as a list, with what is missing of each
cache       the model cache on this machine's disk
gate        the promotion rules
promotion   promote and roll back
source      what digits.inference asks a registry for

`python -m digits registry` is the command line.
"""
