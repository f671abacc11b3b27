"""CrowS-Pairs (Nangia et al. 2020; ACL 2020.emnlp-main.154): which of two sentences a model finds likelier."""
