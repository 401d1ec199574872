"""MLServer with a runtime of our own: `mlserver start FOLDER`, settings in the environment.

The image comes as a V2 tensor of bytes, as the protocol has no images; MLServer's base64 codec is slower.
"""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from testkit.models import load_model


class Digits(MLModel):
    async def load(self) -> bool:
        self._digits = load_model(max_batch_size=64)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        images = NumpyCodec.decode_input(payload.inputs[0])
        probabilities = NumpyCodec.encode_output("probabilities", self._digits.predict(images))
        return InferenceResponse(model_name=self.name, outputs=[probabilities])
