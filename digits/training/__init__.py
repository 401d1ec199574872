"""Ray Train: from labelled images to a registered model.

settings      the flags of train_ray.py
data          labelled images, checked
augmentation  random changes to training images
network       the Keras network
step          the training step
plots         a run as pictures
checkpoints   what an epoch leaves behind
evaluation    accuracy, calibration, slices
export        Keras -> ONNX with a manifest
publish       from the best checkpoint to a registered version
run           the Ray Train run
"""
