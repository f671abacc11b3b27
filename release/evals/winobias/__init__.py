"""WinoBias (Zhao et al. 2018; ACL N18-2003): which of two occupations a pronoun refers to."""
