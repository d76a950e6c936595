"""`kannon demo`: the whole way on an empty temporary data directory."""
