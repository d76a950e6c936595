"""NATS JetStream: how the components meet. nats is imported nowhere else.

`bus` is what components are given. `streams` declares streams, subjects, consumers and limits; `connection` is made
anew when it is lost; `publish`, `consume`, `bodies`, `dead_letters`, `notify`, `gather`, `throttled` and `backlog` each
do one thing over it.
"""
