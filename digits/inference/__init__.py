"""Prediction: images in, predictions out, in batches, with the live model.

settings    the user_config of serve_config.yaml
batcher     one queue in front of one model
source      where models come from
classifier  a loaded model with its queue
counters    counts of batches, waits and answers
repeating   a step that is repeated for as long as the replica lives
live_model  the classifier that answers now, and its replacement
items       the pictures of a request before they are read, and how one is read
costs       the cost of reading a picture, learned from pictures that are read
pace        how much longer than expected the threads take that read pictures
reader      pictures -> candidates, in threads, admitted by the seconds of waiting work
verdicts    the scores of a picture's candidates -> its prediction, or the reason for none
predictor   pictures -> predictions, and their observers
offline     pictures -> predictions in this process, without queue and limits
"""
