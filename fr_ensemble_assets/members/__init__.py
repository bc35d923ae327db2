"""Stage 7: after PROMOTE, each seed is fitted on the whole corpus and exported to ONNX."""
