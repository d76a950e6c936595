"""The counters and histograms of the components."""
