"""HTTP/2 (RFC 9113) on asyncio, for servers: requests in, responses out, nothing of gRPC.

Written for many small requests on few connections: frames of one read are parsed in one go,
answers of one turn of the loop leave in one write, and header blocks that were seen before are
not decoded again.
"""
