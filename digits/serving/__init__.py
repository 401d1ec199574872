"""Ray Serve: the deployment around the HTTP API, its metrics and autoscaling, and a new cluster's handover.

metrics      what a replica exports beside Ray Serve's own metrics
autoscaling  how many replicas the load needs
deployment   the deployment: a replica connects the parts
handover     an application that runs once every worker answers: KubeRay moves the traffic then
"""
