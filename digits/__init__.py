"""Handwritten digits: one image model, trained, tracked, and served in batches.

One folder for each role, in reading order; docs/architecture.md says which may import which.

    task.py           what is predicted: labels, image side, array types, the prediction
    errors.py         every error raised on purpose
    problems.py       what a client can be told when a request fails, and the one renderer of it
    settings.py       the base of all settings
    vision/           pictures: the bytes of an image file -> pixels
    models/           model files: manifest, folders written whole, ONNX Runtime
    registry/         MLflow: runs, versions, the model cache, the promotion rules, promotion
    inference/        answering: the batch queue, the live model, the predictor, counters
    protocols/        requests and answers of the Open Inference Protocol, TensorFlow Serving and MLflow
    http/             the HTTP API without Ray: routes, request bodies, OpenAPI, the drawing page
    gateway/          in front of every route: limits, API keys, HAProxy (its retries: serve.env)
    serving/          Ray Serve: the deployment and its Prometheus metrics
    local/            one service on this machine: start, status, deploy, stop
    scoring/          Ray Data: many files -> a table of predictions
    corpus/           pictures as people send them, made of people's pen strokes: to train on and to judge by
    training/         Ray Train: data, network, training step, evaluation, export, publishing
    cli/              the command line: serve, predict, score, train, registry, doctor and others
    __main__.py       `python -m digits`
    ray_internals.py  each assumption about Ray's private behaviour, with a check for it
"""
