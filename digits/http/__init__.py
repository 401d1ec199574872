"""The HTTP API, without Ray: request bodies, answers, problems, OpenAPI, the pages for people (*.html).

schemas     JSON bodies and answers
levels      images that are sent as grey levels
forms       the images among a form's fields
bodies      request bodies -> image files and grey levels
disconnect  whether the client is still connected
openapi     the document at /openapi.json
answers     predictions -> answers, with an explanation on request
page        the pages for people, with their Content-Security-Policy
app         the routes
"""
