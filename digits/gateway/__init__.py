"""In front of every route: limits, keys, headers, and HAProxy.

settings     limits and API keys, from the environment
one_write   head and body of an answer in one write
middleware  the ASGI middleware in every proxy and replica
haproxy     what Ray starts as HAProxy
"""
