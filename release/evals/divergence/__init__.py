"""How far pruning moved the model's distribution of the next token, position by position, on perplexity's windows."""
