"""Model files: what a model folder holds, and a model that is loaded from one.

manifest  `manifest.json`: the files of a model with their SHA-256, its data and its metrics
folders   folders that are written atomically
runtime   ONNX Runtime: pixels -> probabilities
"""
