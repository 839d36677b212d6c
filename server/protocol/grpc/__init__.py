"""gRPC (PROTOCOL-HTTP2.md) on `server.protocol.http2`: methods, calls, deadlines, statuses."""
