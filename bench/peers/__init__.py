"""Servers from the package index that a user might take instead, in environments of their own."""
