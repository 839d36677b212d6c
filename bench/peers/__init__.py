"""Servers from the package index that a user might take instead, in environments of their own."""

from collections.abc import Mapping

from bench.peers.peer import Peer

PEERS: Mapping[str, Peer] = {}
