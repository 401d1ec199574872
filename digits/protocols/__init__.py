"""The protocols besides POST /predict: a request's body -> images, predictions -> its answer.

ASGI and routes are in digits.http.

json_bodies  JSON bodies, checked by a pydantic type
rows         predictions -> arrays with a row for each image
v2_schemas   JSON bodies and answers of the Open Inference Protocol (V2 of KServe)
tensors      its tensors in JSON and as bytes
v2           its requests -> images, rows -> its answers
instances    TensorFlow Serving's and MLflow's bodies -> images
"""
