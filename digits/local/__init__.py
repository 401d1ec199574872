"""The service on one machine: make serve, status, deploy-config, monitor and stop.

processes  finds and kills all processes of a service by a mark in their environment
ports      which process holds a port
instance   the ports, folder and environment of one service
config     reads a Serve configuration and checks it before anything starts or changes
schema     checks it against Ray's schema, where Ray is loaded anyway
driver     the process that runs Ray and `serve run`
api        asks the running service
runner     starts the service, waits until it answers, and ends it
monitor    Prometheus with the alerts, for the running service
commands   what the commands do and print
"""
