"""MLServer with a runtime of our own: `mlserver start FOLDER`, settings in the environment.

A 28x28 image comes as a V2 tensor, which is faster than a file in base64; other pictures come in base64.
"""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import Base64Codec, NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from digits.task import CLASSES
from testkit.models import classify, load_model


class Digits(MLModel):
    async def load(self) -> bool:
        self._digits = load_model(max_batch_size=64)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        only = payload.inputs[0]
        rows = (
            np.array(classify(self._digits, Base64Codec.decode_input(only)), np.float32)
            if only.datatype == "BYTES"
            else self._digits.predict(NumpyCodec.decode_input(only))[:, :CLASSES]
        )
        probabilities = NumpyCodec.encode_output("probabilities", rows)
        return InferenceResponse(model_name=self.name, outputs=[probabilities])
