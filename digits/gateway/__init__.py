"""In front of every route: limits, API keys, header checks, and HAProxy.

ray_facts     what it uses of Ray's and HAProxy's private behaviour
settings      limits and API keys, from the environment
auth          checks API keys
answers       turns Ray's plain errors into problems, adds the security headers
one_write     sends the head and the body of an answer in one write
accepting     accepts all connections that wait, which uvloop does one by one
connection    uvicorn's connections: no Upgrade costs a body, broken HTTP gets a problem
request_body  reads bodies within limits of size, time and memory
middleware    the ASGI middleware in every proxy and replica
haproxy       the program that Ray starts as HAProxy: hardens its configuration
environment   what `make serve` sets: HAProxy, or Ray's own proxy where there is none
"""
