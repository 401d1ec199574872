"""A search for better training settings: many short trainings, then a full one with the best settings.

settings    the flags of a search
space       which settings vary between which values, and the settings of trial n
records     the folder of a search: its plan, and a file for each trial, written atomically
importance  how much each setting affects the quality of a trial
plots       plots of the trials
tracking    the search's MLflow run, and a nested run for each trial
journal     the progress of the trials, kept and shown
tuning      Ray Tune over Ray Train: which trials run, and which of them stop early
search      the whole search: the trials, their table, the full training of the best
"""
