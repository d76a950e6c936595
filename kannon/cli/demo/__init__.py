"""`kannon demo`: one mailing from start to statistics, on an empty temporary data directory."""
