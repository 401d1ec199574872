"""Ray Serve: the deployment around the HTTP API, and its metrics.

metrics     what a replica exports beside Ray Serve's own metrics
deployment  the deployment: a replica connects the parts
"""
