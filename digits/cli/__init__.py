"""The command line, `python -m digits`.

main      the commands, each loaded when it is asked for
flags     command-line flags made of settings
service   serve, status, deploy-config, stop, env and monitor: one service on this machine
predict   read picture files, in this process or at a running service
score     read many files on all cores, into a table
registry  list, promote and roll back registered models
train     train a model; train_ray.py is the same command
doctor    check this machine before it serves or trains
checks    what doctor checks, each finding with its cure
"""
