"""Code that tests and benchmarks share, or that tests copy together with the package.

cluster.py     a Ray cluster of one node with the service in it: how tests and benchmarks start Ray Serve
encodings.py   one digit, or many, in every form that POST /predict takes
fakes.py       stand-in models whose answers depend on their input
serving.py     the HTTP API in a thread of this process, without Ray
models.py      the starter model and other model folders, loaded as a replica loads them
own_models.py  docs/your-own-model.md as a program, and drawn data for its two models
local.py       a service as `make serve` starts it, ended by `make stop`
load.py        load generators: wrk for closed loops, h2load for open ones
ports.py       free ports for the servers that tests and benchmarks start
processes.py   memory and CPU time of processes; kills those with a mark
traffic.py     steady traffic from a thread, each request with its outcome
"""
