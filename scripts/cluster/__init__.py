"""Applies the manifests of deploy/ to a Kubernetes API server."""
