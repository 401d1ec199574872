"""In front of every route: limits, API keys, header checks, and HAProxy.

ray_facts     the private behaviour of Ray and HAProxy that the gateway relies on
settings      limits and API keys, from the environment
auth          checks API keys
answers       turns Ray's plain errors into problems, adds the security headers
one_write     sends the headers and the body of an answer in one write
accepting     accepts all waiting connections at once, not one by one like uvloop
connection    uvicorn's connections: ignores Upgrade headers, answers malformed HTTP with a problem
request_body  reads bodies within limits of size, time and memory
middleware    the ASGI middleware in every proxy and replica
haproxy       the program that Ray starts as HAProxy: hardens its configuration
environment   what `make serve` sets: HAProxy, or Ray's own proxy where there is none
"""
