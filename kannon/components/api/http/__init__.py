"""HTTP: Connect, gRPC-Web and JSON over HTTP/1.1 and HTTP/2, and what a browser reads.

In: the bytes of a connection that does not speak gRPC. Out: calls of kannon.components.api.rpc, the description of the
API, health. hypercorn speaks HTTP, connectrpc the protocols of calls; the limits before both are ours.
"""
