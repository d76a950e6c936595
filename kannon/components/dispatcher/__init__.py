"""dispatcher: turns due deliveries into signed envelopes, and their outcomes into settled rows.

`feed` claims, builds and publishes; `outcomes` settles; `builder` compiles each batch once and fills it, in worker
processes; `dispatcher` runs them and takes back claims whose envelope is nowhere any more.
"""

from kannon.components.dispatcher.dispatcher import Dispatcher

__all__ = ["Dispatcher"]
