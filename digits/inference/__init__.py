"""Answering: images in, probabilities out, in batches, by the model that is live.

settings    what serve_config.yaml's user_config can set
batcher     one queue in front of one model
counters    counts of batches, waits and answers
classifier  a loaded model with its queue
live_model  the classifier that answers now, and how another replaces it
"""
