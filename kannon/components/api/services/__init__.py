"""What the API does: one class for each service of the protos.

In: a caller whose credentials are valid, and a request message. Out: a response message, or a KannonError. A method is
`async def M(self, caller, request)` and returns its response; where the proto has `returns (stream …)` it is an async
generator of them.
"""
