"""Any number of labelled pictures -> pixels for training, read in chunks and never loaded whole.

chunks      rows that are read together, and which of them train, validate and test
folders     folders of pictures, named by label
parquet     Parquet files with pixels or pictures, and labels
webdataset  tar files in which consecutive members are a picture and its label
survey      an address -> its chunks and label counts, checked before a training starts
reading     a chunk -> pixels and labels, with the reader of the service
plan        the order of an epoch, and which worker trains on which rows
pipeline    Ray Data: chunks read in parallel, in order
"""
