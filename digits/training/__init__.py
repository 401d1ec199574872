"""Ray Train: from labelled images to a registered model.

settings      the flags of train_ray.py
data          labelled images in memory, checked
as_parquet    MNIST and the picture corpus written as Parquet
streamed      any number of labelled pictures, streamed to the workers
provenance    the origin of a training: commit, packages, data, preprocessing, command
golden        the golden images of a task
samples       drawn images: digits in other handwriting, and images without a digit
augmentation  random changes to training images
network       the Keras network and its optimizer
feeds         the batches of one worker, from memory
stream_feed   the batches of one worker, streamed
step          the training step, and the trainer of one worker
checkpoints   the files of a checkpoint, and how a training resumes
quiet         loads TensorFlow without its output on the terminal
cluster       Ray connected or started, and checked for enough resources
unreadable    the list of pictures that could not be read
worker        the code of each Ray Train worker
run           the Ray Train run: workers, restarts, progress
evaluation    accuracy, calibration, slices
pictures      how a model reads pictures of the corpus
rejection     how well is_digit separates digits from other images, and its threshold
plots         plots of a training
export        Keras -> ONNX with a manifest
adapting      an ONNX model made elsewhere -> one with the service's signature
importing     a model file made elsewhere -> a registered version
fit           settings and data -> a model folder; nothing is registered
judging       tests another model on a dataset's test images
publish       a training's MLflow run; a model folder -> a registered version
train         the whole training: fit, then publish
"""
