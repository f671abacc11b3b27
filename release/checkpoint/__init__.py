"""Safetensors on disk: headers, which tensors are prunable, counting, and the streaming rewrite.

Knows no model class, no record and no Hub.
"""
