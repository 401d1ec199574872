"""Ray Train: from labelled images to a registered model.

settings      the flags of train_ray.py
data          labelled images, checked
provenance    what a training was made from: commit, packages, data, preprocessing, command
samples       drawn images: digits of other hands, and what is no digit
augmentation  random changes to training images
network       the Keras network and its optimizer
step          the training step, and the trainer of one worker
checkpoints   the files that each epoch writes, and how a training resumes
quiet         TensorFlow loaded without its lines on the terminal
interrupts    SIGINT and SIGTERM as KeyboardInterrupt, raised again until it is caught
cluster       Ray joined or started, large enough for the workers, and left at Ctrl-C
run           the Ray Train run: workers, restarts, progress
evaluation    accuracy, calibration, slices
pictures      how a model reads pictures as people send them
rejection     how well is_digit tells digits from what is none, and its threshold
plots         a training as pictures
export        Keras -> ONNX with a manifest
fit           settings and data -> a model folder; nothing is registered
judging       another model on a dataset's test images
publish       a training's MLflow run; a model folder -> a registered version
train         the whole training: fit, then publish
"""
