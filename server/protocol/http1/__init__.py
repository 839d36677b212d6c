"""HTTP/1.1 on asyncio and httptools: requests in, responses out, nothing of the API."""
