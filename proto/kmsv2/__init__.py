"""Kubernetes KMS v2, generated from api.proto."""
