"""The model card: from a record to README.md, what people wrote around it, and the cards of strangers."""
