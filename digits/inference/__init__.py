"""Answering: images in, predictions out, in batches, by the model that is live.

settings    what serve_config.yaml's user_config can set
batcher     one queue in front of one model
source      where models come from
classifier  a loaded model with its queue
counters    counts of batches, waits and answers
live_model  the classifier that answers now, and how another replaces it
costs       what reading a picture costs, learned while pictures are read
reader      pictures -> candidates, in threads, admitted by the work that waits
verdicts    the scores of a picture's candidates -> its prediction, or why there is none
predictor   pictures -> predictions, and who observes them
offline     pictures -> predictions in this process, without queue and limits
"""
