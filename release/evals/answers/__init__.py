"""Sample answers: a few questions that both models answer greedily, kept with their tokens' probabilities."""
