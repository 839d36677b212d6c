"""gRPC (PROTOCOL-HTTP2.md) on `server.http2`: methods, calls, deadlines, statuses."""
