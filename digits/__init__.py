"""Handwritten digits: one image model, trained, tracked, and served in batches.

Read top to bottom; each module may import only what docs/architecture.md allows it.

    errors, settings          what can go wrong; what can be set
    images                    grey levels -> pixels, the one preprocessing for training and serving
    decoding                  image files -> grey levels, and so to pixels
    manifest                  what a model folder says of itself
    model                     ONNX Runtime: pixels -> probabilities
    batching                  one queue in front of one model
    tally                     what its batches were, in counts
    classifier, reloading     one model with its queue; and how another takes its place
    problems, schemas, bodies, api    the HTTP surface, without Ray
    serving                   the Ray Serve deployment around it all
    edge, onewrite, haproxy   what stands in front of it: what passes, how it is sent, what listens

    datasets, augmentation, network, fitting, evaluation, export, plots    the parts of a training run
    checkpoints               what an epoch leaves, and a run's folder put right after a death
    tracking, registry        MLflow runs, versions, aliases and the gate between them
    training                  the Ray Train run around it all
"""
