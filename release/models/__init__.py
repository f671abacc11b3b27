"""What runs a model: its class and its fitness, loading, blocks, activations, the reader, and the engines."""
