"""What becomes of the zeros where files are quantized, or a LoRA is merged: tried on the pruned files themselves."""
