"""Handwritten digits: one image model, trained, tracked, and served in batches.

One folder for each role, in reading order; docs/architecture.md says which may import which.

    errors.py     every error raised on purpose
    problems.py   what a client can be told when a request fails
    settings.py   the base of all settings, and the flags made of them
    ray_internals.py  each assumption about Ray's private behaviour, with a check for it
    task.py       what is predicted: labels, image side, array types, the prediction
    vision/       pictures: bytes of an image file -> pixels
    models/       model files: manifest, folders, ONNX Runtime
    registry/     MLflow: runs, versions, the model cache, the promotion rules
    inference/    the batch queue, the live model and its counters
    http/         the HTTP API and the drawing page, without Ray
    gateway/      in front of every route: limits, API keys, HAProxy
    serving/      Ray Serve: the deployment and its metrics
    training/     Ray Train: data, network, training step, evaluation, export
"""
