"""What an operator looks at in a browser: HTML on the API's port, over the same methods as the API.

In: HTTP requests of a browser that is logged in. Out: pages that work without JavaScript, and changes by forms. A page
reads and changes through `Methods` alone, which calls what a gRPC client would call; it knows no database and no bus.
Everything here is imported at the first request for a page (mount.py).
"""
