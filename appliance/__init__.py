"""The product: provisions a token once, then answers Kubernetes KMS v2 with it."""

__version__ = "0.1.0"
