"""The delivery benchmark: ``python -m benchmarks.delivery`` (docs/reference/delivery-benchmark.md)."""
