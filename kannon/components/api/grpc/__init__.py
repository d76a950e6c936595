"""gRPC: HTTP/2 by h2, calls by grpclib, with limits of our own before either works.

In: the bytes of a connection. Out: calls of kannon.components.api.rpc.
"""
