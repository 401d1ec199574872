"""Handwritten digits: one image model, trained, tracked, and served in batches.

There is a folder for each role, here in reading order; docs/architecture.md says which may import which.

    task.py           the task: labels, image size, array types, the prediction
    errors.py         every error that this package raises on purpose
    problems.py       the errors that a client can receive, and the only code that renders them
    settings.py       the base class of all settings
    vision/           pictures: the bytes of an image file -> pixels
    models/           model files: manifest, atomic folders, ONNX Runtime
    registry/         MLflow: runs, versions, the model cache, the promotion rules, promotion
    inference/        prediction: the batch queue, the live model, the predictor, counters
    protocols/        requests and answers of the Open Inference Protocol, TensorFlow Serving and MLflow
    http/             the HTTP API without Ray: routes, request bodies, OpenAPI, the drawing page
    gateway/          in front of every route: limits, API keys, HAProxy (retries and timeouts: serve.env)
    serving/          Ray Serve: the deployment and its Prometheus metrics
    local/            one service on this machine: start, status, deploy, stop
    scoring/          Ray Data: many files -> a table of predictions
    corpus/           realistic pictures, drawn from people's pen strokes, for training and testing
    streaming/        Ray Data: any number of labelled pictures -> pixels for training
    training/         Ray Train: data, network, training step, evaluation, export, publishing
    search/           Ray Tune: many short trainings with different settings, then a full one with the best
    report/           a model's quality as one HTML file, compared with the champion's
    cli/              the command line: serve, predict, score, train, registry, doctor and others
    __main__.py       `python -m digits`
    ray_start.py      Ray for a training or a scoring: started here or joined, and left at Ctrl-C
    interrupts.py     SIGINT and SIGTERM as KeyboardInterrupt, repeated until it is caught
    ray_internals.py  each assumption about Ray's private behaviour, with a check for it
"""
