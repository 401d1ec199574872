"""Ray Serve.

deployment  the deployment around the HTTP API, and its metrics
"""
