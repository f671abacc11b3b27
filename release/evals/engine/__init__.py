"""What every evaluation that reads text stands on: likelihoods, sampled answers, kept readings, intervals."""
