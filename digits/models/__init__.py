"""Model files: what a model folder holds, and a model that is loaded from one.

manifest  `manifest.json`, and folders that are written whole or not at all
runtime   ONNX Runtime: pixels -> probabilities
"""
