"""The command line, `python -m digits`.

main      the commands, each loaded when it is asked for
flags     command-line flags generated from settings
service   serve, status, deploy-config, stop, env and monitor: one service on this machine
predict   read picture files, in this process or at a running service
score     read many files on all cores, into a table
registry  list, import, promote and roll back registered models
golden    choose the golden images for another task
data      write MNIST and drawn pictures as Parquet
train     train a model, or search for better settings first; train_ray.py is the same command
model     copy what serving needs of a model folder
report    write a model's quality as one HTML file
doctor    find what keeps this machine from serving or training
checks    the checks of doctor, each finding with its fix
"""
