"""Export segmentors to ONNX, and run the files without PyTorch."""
