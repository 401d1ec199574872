"""Ray Serve: the deployment around the HTTP API, its metrics, and its autoscaling.

metrics      what a replica exports beside Ray Serve's own metrics
autoscaling  how many replicas the load needs
deployment   the deployment: a replica connects the parts
"""
