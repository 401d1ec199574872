"""Offline scoring: many files -> one table of predictions, on all cores or a whole cluster.

inputs   files, folders, patterns and Parquet -> blocks of pictures
results  the folder of a scoring: its plan, and one part for each block, whole or absent
worker   scores a block, in an actor of Ray Data
run      the Ray Data job
"""
