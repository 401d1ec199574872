"""The HTTP API, without Ray: request bodies, answers, problems, OpenAPI, the pages for people (*.html).

schemas            JSON bodies and answers
forms              the images in a form's fields
bodies             request bodies -> image files and grey levels
answers            predictions -> answers, with an explanation on request
disconnect         whether the client is still connected
messages           ASGI messages: a whole request body in, one answer out
protocols          the routes of the protocols besides POST /predict (digits/protocols/)
examples           example bodies that can be sent as they are
openapi_parts      pieces of the document at /openapi.json
openapi_protocols  its paths of other protocols
openapi            the document
page               the pages for people, with their Content-Security-Policy
app                the routes
"""
