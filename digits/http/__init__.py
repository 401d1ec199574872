"""The HTTP API, without Ray: request bodies, answers, problems, OpenAPI, the drawing page (page.html).

schemas     JSON bodies and answers
levels      images that are sent as grey levels
forms       the images among a form's fields
bodies      request bodies -> image files and grey levels
reading     image files and grey levels -> pixels
disconnect  whether the client is still connected
openapi     the document at /openapi.json
app         the routes
"""
