"""Offline scoring: many files -> one table of predictions, on all cores or a whole cluster.

inputs    files, folders, patterns and Parquet -> blocks of pictures
results   the folder of a scoring: its plan, and a part for each block, written atomically
attempts  counts process deaths for each part and picture
worker    scores a block, in an actor of Ray Data
run       the Ray Data job
"""
