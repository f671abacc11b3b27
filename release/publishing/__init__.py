"""From a finished release to the Hub: what must not leak, what is sent, and in which order."""
