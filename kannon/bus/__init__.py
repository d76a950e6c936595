"""NATS JetStream: how the components meet. nats is imported nowhere else.

`topology` declares streams, subjects, consumers and limits; `bus` is what components hold; `publish` and `consume` are
its two halves.
"""
