"""Whether a release is what it says: audit, verification of anybody's files, and signatures."""
