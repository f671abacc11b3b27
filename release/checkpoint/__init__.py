"""Safetensors on disk: headers, which tensors are prunable, and the streaming rewrite.

Knows no model class at run time but one cross-check (`prunable.cross_check`), and no Hub.
"""
