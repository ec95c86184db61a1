"""Delivery of pictures to viewers, and the flow-controlled server below it."""
