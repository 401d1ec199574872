"""The HTTP API, without Ray: request bodies, answers, problems, OpenAPI, the drawing page (page.html).

schemas     JSON bodies and answers
bodies      request bodies -> pixels
disconnect  whether the client is still connected
openapi     the document at /openapi.json
app         the routes
"""
