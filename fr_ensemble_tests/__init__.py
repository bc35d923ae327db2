"""The suite: short examples of use, over real corpora, a real Dagster instance, real ONNX."""
